import Foundation
import Testing

/// Trainers that are away, told to stop, or silent, and owners that are interrupted: nothing is lost.
struct InterruptionTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  /// Long enough to be met in the middle: 45 rows in batches of 4 are 12 steps an epoch.
  private func writeLongJob() throws {
    try site.write(JobText(epochs: 150, batch: 4).text, to: "job.yaml")
  }

  private func historyLines(_ run: String = "run") -> Int {
    site.text("\(run)/history.jsonl").split(separator: "\n").count
  }

  /// Steps of the history in order: 0, 1, 2 … without a gap or a repeat.
  private func expectWholeHistory(steps: Int, location: SourceLocation = #_sourceLocation) throws {
    struct Line: Decodable {
      let kind: String
      let step: Int
    }
    let lines = try site.text("run/history.jsonl").split(separator: "\n")
      .map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    let isWhole = lines.filter { $0.kind == "step" }.map(\.step) == Array(0..<steps)
    #expect(isWhole, "\(lines.count) lines", sourceLocation: location)
  }

  @Test func absentTrainer() throws {
    let endpoint = Site.unusedEndpoint()
    let child = try site.start(.encryptor, site.launch(trainer: endpoint, ["--patience", "6"]))
    // Said long before patience ends.
    #expect(Waiting.until(5) { child.errors.contains("the trainer at \(endpoint) does not answer; waiting") })
    #expect(!child.hasEnded)
    try site.end(child).expectRefusal(5, saying: endpoint, "--resume", afterProgress: true)
    let trainer = try site.startTrainer(bind: endpoint)
    let resumed = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(resumed.code == 0, "\(resumed.errors)")
  }

  @Test func trainerThatComesWhileTheRunWaits() throws {
    let endpoint = Site.unusedEndpoint()
    let child = try site.start(.encryptor, site.launch(trainer: endpoint, ["--patience", "60"]))
    #expect(Waiting.until(10) { child.errors.contains("waiting for it") })
    _ = try site.startTrainer(bind: endpoint)
    #expect(try child.wait() == 0, "\(child.errors)")
  }

  @Test func otherCommandsWithoutATrainer() throws {
    let endpoint = Site.unusedEndpoint()
    #expect(try site.run(.encryptor, site.launch(trainer: endpoint, ["--patience", "0"])).code == 5)
    for command in ["status", "cancel"] {
      try site.run(.encryptor, [command, "run", "--patience", "1"])
        .expectRefusal(5, saying: "the trainer at \(endpoint) does not answer", afterProgress: true)
    }
  }

  @Test func somethingElseListensThere() throws {
    let site = site
    let listener = try Listener()
    try site.run(.encryptor, site.launch(trainer: listener.endpoint, ["--patience", "3"]))
      .expectRefusal(5, saying: listener.endpoint, afterProgress: true)
  }

  /// SIGTERM in the middle of a run: the trainer says so, saves and exits 0, the owner waits, and the weights are those of the same run
  /// undisturbed, to the bit. Both go out from one prepared run, because each run has keys of its own.
  @Test func trainerStoppedAndStartedAgain() throws {
    try writeLongJob()
    let endpoint = Site.unusedEndpoint()
    #expect(try site.run(.encryptor, site.launch(trainer: endpoint, ["--patience", "0"])).code == 5)
    try FileManager.default.copyItem(atPath: site["run"], toPath: site["undisturbed"])

    let first = try site.startTrainer(bind: endpoint)
    let owner = try site.start(.encryptor, site.launch(trainer: endpoint, ["--resume", "--patience", "60"]))
    #expect(Waiting.until(30) { historyLines() > 100 })
    first.process.signal(SIGTERM)
    #expect(try first.process.wait() == 0)
    #expect(!owner.hasEnded, "it was stopped in the middle")
    #expect(Waiting.until(20) { owner.errors.contains("trainer lost") }, "\(owner.errors)")
    _ = try site.startTrainer(bind: endpoint)
    #expect(try owner.wait() == 0, "\(owner.errors)")
    try expectWholeHistory(steps: 1800)

    let other = try site.startTrainer(store: "other")
    let undisturbed = try site.run(
      .encryptor, site.launch(out: "undisturbed", trainer: other.endpoint, ["--resume"]))
    #expect(undisturbed.code == 0, "\(undisturbed.errors)")
    #expect(try site.bytes("run/model/model.safetensors") == site.bytes("undisturbed/model/model.safetensors"))
  }

  @Test func idleTrainerStopped() throws {
    let trainer = try site.startTrainer()
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait(seconds: 20) == 0)
    #expect(trainer.process.errors.hasSuffix("stopped\n"))
  }

  @Test func interruptedOwner() throws {
    try writeLongJob()
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(Waiting.until(30) { historyLines() > 50 })
    owner.signal(SIGINT)
    try site.end(owner).expectRefusal(5, saying: "interrupted after step", "--resume", afterProgress: true)
    #expect(historyLines() < 1800)
    let resumed = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(resumed.code == 0, "\(resumed.errors)")
    try expectWholeHistory(steps: 1800)
  }

  /// With the trainer stopped in its tracks nothing can be saved there; a second Ctrl-C does not wait for it.
  @Test func secondInterruption() throws {
    try writeLongJob()
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(Waiting.until(30) { historyLines() > 50 })
    trainer.process.signal(SIGSTOP)
    owner.signal(SIGINT)
    #expect(Waiting.until(5) { owner.errors.contains("press Ctrl-C again") })
    usleep(300_000)
    #expect(!owner.hasEnded)
    let began = ContinuousClock.now
    owner.signal(SIGINT)
    #expect(try owner.wait(seconds: 20) == 5)
    #expect(began.duration(to: .now) < .seconds(5))
    trainer.process.signal(SIGCONT)
    let resumed = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(resumed.code == 0, "\(resumed.errors)")
    try expectWholeHistory(steps: 1800)
  }
}
