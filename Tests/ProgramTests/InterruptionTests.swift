import Foundation
import Foundations
import Protocol
import Testing
import TestSupport

/// Trainers that are away, told to stop, or silent, and owners that are interrupted: nothing is lost.
@Suite(.waiting)
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

/// Limits of single owners, and owners that leave the list, by the authorized file and SIGHUP.
@Suite(.waiting)
struct OwnerListTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func list(_ limits: String) throws {
    let key = site.text("owner/owner.pub").split(separator: "\n").last ?? ""
    try site.write("# owners\n\(key) \(limits)\n", to: "owners.txt")
  }

  private func reload(_ trainer: RunningTrainer, until message: String = "authorized owners read again") throws {
    let before = trainer.process.errors.components(separatedBy: message).count
    trainer.process.signal(SIGHUP)
    #expect(Waiting.until(10) { trainer.process.errors.components(separatedBy: message).count > before })
  }

  @Test(arguments: [
    ("memory=1K", "this owner's (memory=) limit is"), ("disk=100  # the clinic", "(disk=)"),
    ("memory=1G queue=3 disk=100", "(disk=)"),
  ])
  func aJobOverALimitIsRefused(_ limits: String, _ text: String) throws {
    try list(limits)
    let trainer = try site.startTrainer()
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).expectRefusal(6, saying: text, afterProgress: true)
  }

  @Test func moreJobsThanMayWait() throws {
    try site.write(JobText(epochs: 4000).text, to: "job.yaml")
    try list("queue=1")
    let trainer = try site.startTrainer()
    for (name, expected) in [("first", "job started"), ("second", "job queued")] {
      try site.start(.encryptor, site.launch(out: name, trainer: trainer.endpoint))
      #expect(Waiting.until(20) { trainer.process.errors.contains(expected) })
    }
    try site.run(.encryptor, site.launch(out: "third", trainer: trainer.endpoint))
      .expectRefusal(6, saying: "1 jobs waiting", "queue=1", afterProgress: true)
  }

  /// Enough, and read anew on SIGHUP.
  @Test func limitsAreReadAgainOnHangup() throws {
    try list("memory=1K")
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 6)
    try list("memory=1G disk=1G queue=1")
    try reload(trainer)
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(ended.code == 0, "\(ended.errors)")
  }

  @Test func aBadLimitAtStart() throws {
    try list("memory=lots")
    try site.run(.trainer, ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store"])
      .expectRefusal(4, saying: "owners.txt, line 2: memory takes a size", program: .trainer)
  }

  @Test func aBadLimitOnHangupKeepsTheOldList() throws {
    try list("memory=1K")
    let trainer = try site.startTrainer()
    try list("memory=1G disc=1G")
    try reload(trainer, until: "authorized owners kept as they were")
    #expect(trainer.process.errors.contains("line 2: 'disc' is no limit"))
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 6, "the old limit is in force")
  }

  /// The issue's "an owner removed from the authorized file mid-job": its connection ends, its job is saved after a whole step, and
  /// goes on when it is listed again.
  @Test(arguments: ["owner", "trainer"])
  func anOwnerRemovedFromTheAuthorizedFileMidJob(_ loss: String) throws {
    try site.write(JobText(loss: loss, epochs: 150, batch: 4).text, to: "job.yaml")
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > 20 })
    try site.authorizeOwner(false)
    try reload(trainer)
    try site.end(owner).expectRefusal(6, saying: "does not admit this owner's key", afterProgress: true)
    #expect(Waiting.until(10) { trainer.process.errors.contains("job paused") })
    #expect(trainer.process.errors.contains("no longer listed"))
    let refused = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(refused.code == 6, "\(refused.errors)")
    try site.authorizeOwner()
    try reload(trainer)
    let resumed = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(resumed.code == 0, "\(resumed.errors)")
    // Every step once, in order: 45 rows in batches of 4 are 12 an epoch. That the weights are those of an undisturbed run is
    // shown where both can have the same key, in the tests of the sessions.
    let steps = try JSONLog(site.text("run/history.jsonl")).lines.filter { $0["kind"] as? String == "step" }
    #expect(steps.compactMap { $0["step"] as? Int } == Array(0..<150 * 12))
  }
}

/// The fault "what the other side wrote reaches terminals raw", shown by the trainer's own logs.
@Suite(.waiting)
struct WhatAnOwnerWroteInTheTrainersLogTests {
  private let site: Site
  private static let hostile = "x\" job=forged  level=\"\u{1B}[2J\n2026-01-01T00:00:00Z critical \u{202E}all is lost"

  init() throws {
    site = try Site()
  }

  /// A greeting that no `encryptor` sends.
  private func greet(_ trainer: RunningTrainer) throws {
    let channel = try ZeroMQOwnerChannel(
      endpoint: trainer.endpoint, ownerKeys: KeyFile(.owner, in: site["owner"]).readKeyPair(),
      serverKey: KeyFile.readPublicKey(at: site["trainer/trainer.pub"]))
    defer { channel.close() }
    try channel.send(MessageCodec<Float>().frames(.hello(software: Self.hostile), job: .none))
    #expect(Waiting.until(20) { trainer.process.errors.contains("owner connected") })
  }

  private func controls(in log: String) -> [Unicode.Scalar] {
    log.unicodeScalars.filter { ($0.value < 0x20 && $0 != "\n") || $0.value == 0x202E }
  }

  @Test func asText() throws {
    let trainer = try site.startTrainer()
    try greet(trainer)
    let log = trainer.process.errors
    #expect(controls(in: log) == [])
    let line = try #require(log.split(separator: "\n").first { $0.contains("owner connected") })
    #expect(
      line.hasSuffix(
        #"  software="x\" job=forged  level=\"\\u{1B}[2J\\n2026-01-01T00:00:00Z critical \\u{202E}all is l…""#),
      "\(line)"
    )
    #expect(!log.split(separator: "\n").contains { $0.hasPrefix("2026-01-01T00:00:00Z") })
  }

  @Test func asJSON() throws {
    let trainer = try site.startTrainer("--log-format", "json")
    try greet(trainer)
    #expect(controls(in: trainer.process.errors) == [])
    let line = try #require(try JSONLog(trainer.process.errors).first("owner connected"))
    #expect((line["software"] as? String)?.hasPrefix(#"x" job=forged  level="\u{1B}[2J\n2026"#) == true)
    #expect(line["job"] == nil)
  }
}
