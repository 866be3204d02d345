import Foundation
import Testing
import TestSupport

/// Owners that listen, and trainers that can only dial out: the same job with bind and connect swapped.
@Suite(.waiting)
struct ReverseConnectionTests {
  private let site: Site
  private let address = Site.unusedEndpoint()

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func launch(_ options: [String] = [], command: String = "run", out: String = "run") -> [String] {
    site.launch(command, out: out, trainer: "tcp://127.0.0.1:1", ["--listen", address] + options)
  }

  private func historyLines() -> Int {
    site.text("run/history.jsonl").split(separator: "\n").count
  }

  @Test func wholeRun() throws {
    let trainer = try site.startConnectingTrainer(to: address)
    let ended = try site.run(.encryptor, launch())
    #expect(ended.code == 0, "\(ended.errors)")
    #expect(ended.errors.contains("listening \(address)\n"))
    try site.write("", to: "copy.h5")
    try DataFile().write(to: site["more.h5"])
    let predicted = try site.encryptor(
      "predict", "run", "--data", "more.h5", "--out", "out.h5", "--listen", address, "--patience", "30")
    #expect(predicted.code == 0, "\(predicted.errors)")
    trainer.signal(SIGTERM)
    #expect(try trainer.wait() == 0)
  }

  @Test func detachedJob() throws {
    try site.write(JobText(loss: "trainer").text, to: "job.yaml")
    _ = try site.startConnectingTrainer(to: address)
    let submitted = try site.run(.encryptor, launch(["--detach"], command: "submit"))
    #expect(submitted.code == 0, "\(submitted.errors)")
    let isFinished = try Waiting.until(30) {
      let status = try site.encryptor("status", "run", "--listen", address, "--patience", "30")
      #expect(status.code == 0, "\(status.errors)")
      return status.output.hasPrefix("finished")
    }
    #expect(isFinished)
    let retrieved = try site.encryptor("retrieve", "run", "--listen", address, "--patience", "30")
    #expect(retrieved.code == 0, "\(retrieved.errors)")
    #expect(site.exists("run/model/model.safetensors"))
  }

  @Test func cancelledJob() throws {
    let first = try site.run(.encryptor, launch(["--patience", "0"]))
    #expect(first.code == 5)
    try site.write(JobText(epochs: 150, batch: 4).text, to: "long.yaml")
    _ = try site.startConnectingTrainer(to: address)
    let owner = try site.start(
      .encryptor, site.launch(job: "long.yaml", out: "long", trainer: "tcp://127.0.0.1:1", ["--listen", address]))
    #expect(Waiting.until(30) { site.text("long/history.jsonl").contains("\n") })
    owner.signal(SIGKILL)
    _ = try owner.wait()
    let cancelled = try site.encryptor("cancel", "long", "--listen", address, "--patience", "30")
    #expect(cancelled.code == 0, "\(cancelled.errors)")
  }

  /// The trainer is killed and comes back, the owner is killed and resumed, and the trainer is pre-empted: the weights are those of the same
  /// run undisturbed, over a connection made the other way.
  @Test func eitherSideKilledAndStartedAgain() throws {
    try site.write(JobText(epochs: 150, batch: 4).text, to: "job.yaml")
    #expect(try site.run(.encryptor, launch(["--patience", "0"])).code == 5)
    try FileManager.default.copyItem(atPath: site["run"], toPath: site["undisturbed"])

    var trainer = try site.startConnectingTrainer(to: address)
    var owner = try site.start(.encryptor, launch(["--resume", "--patience", "60"]))
    #expect(Waiting.until(30) { historyLines() > 100 })
    trainer.signal(SIGKILL)
    _ = try trainer.wait()
    #expect(Waiting.until(20) { owner.errors.contains("trainer lost") }, "\(owner.errors)")
    trainer = try site.startConnectingTrainer(to: address, environment: ["SLURM_JOB_ID": "1"])
    #expect(Waiting.until(30) { historyLines() > 400 })
    owner.signal(SIGKILL)
    _ = try owner.wait()
    owner = try site.start(.encryptor, launch(["--resume", "--patience", "60"]))
    #expect(Waiting.until(30) { historyLines() > 800 })
    trainer.signal(SIGTERM)
    #expect(try trainer.wait() == 0)
    #expect(Waiting.until(20) { owner.errors.contains("pre-empted") }, "\(owner.errors)")
    #expect(!owner.hasEnded, "it was stopped in the middle")
    trainer = try site.startConnectingTrainer(to: address)
    #expect(try owner.wait() == 0, "\(owner.errors)")

    let other = try site.startTrainer(store: "other")
    let undisturbed = try site.run(
      .encryptor, site.launch(out: "undisturbed", trainer: other.endpoint, ["--resume"]))
    #expect(undisturbed.code == 0, "\(undisturbed.errors)")
    #expect(try site.bytes("run/model/model.safetensors") == site.bytes("undisturbed/model/model.safetensors"))
  }

  @Test func aTrainerThatIsNotPinned() throws {
    #expect(try site.run(.trainer, ["keygen", "other"]).code == 0)
    _ = try site.startConnectingTrainer(to: address, keys: "other")
    let ended = try site.run(.encryptor, launch(["--patience", "20"]))
    ended.expectRefusal(5, saying: address, "trainer.pub", afterProgress: true)
  }

  @Test func anOwnerThatIsNotListed() throws {
    try site.authorizeOwner(false)
    _ = try site.startConnectingTrainer(to: address)
    let ended = try site.run(.encryptor, launch(["--patience", "20"]))
    ended.expectRefusal(6, saying: "does not admit this owner's key", afterProgress: true)
  }

  @Test func noTrainerWithinThePatience() throws {
    let ended = try site.run(.encryptor, launch(["--patience", "2"]))
    ended.expectRefusal(5, saying: address, "has not come", "--connect", afterProgress: true)
  }

  @Test func anAddressInUse() throws {
    let trainer = try site.startTrainer()
    let ended = try site.run(
      .encryptor, site.launch(trainer: "tcp://127.0.0.1:1", ["--listen", trainer.endpoint]))
    ended.expectRefusal(2, saying: trainer.endpoint, "choose another", afterProgress: true)
  }

  @Test func anAddressThatIsNone() throws {
    try site.run(.encryptor, site.launch(trainer: "tcp://127.0.0.1:1", ["--listen", "localhost"]))
      .expectRefusal(2, saying: "'localhost' is not an address", afterProgress: true)
    try site.run(
      .trainer,
      ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store", "--connect", "tcp://*:0"]
    ).expectRefusal(2, saying: "'tcp://*:0' is not an address", program: .trainer)
  }

  @Test func aPortOfTheSystemsChoice() throws {
    let child = try site.start(
      .encryptor, site.launch(trainer: "tcp://127.0.0.1:1", ["--listen", "tcp://127.0.0.1:0", "--patience", "60"]))
    #expect(Waiting.until(20) { child.errors.contains("listening tcp://127.0.0.1:") })
    let line = child.errors.split(separator: "\n").first { $0.hasPrefix("listening ") } ?? ""
    _ = try site.startConnectingTrainer(to: String(line.dropFirst("listening ".count)))
    #expect(try child.wait() == 0, "\(child.errors)")
  }

  @Test func bothWaysAtOnce() throws {
    let trainer = try site.startConnectingTrainer(to: address, options: ["--bind", "tcp://127.0.0.1:0"])
    let line = trainer.output.split(separator: "\n").first ?? ""
    try #require(line.hasPrefix("listening tcp://127.0.0.1:"))
    let connecting = try site.start(
      .encryptor, site.launch(out: "second", trainer: String(line.dropFirst("listening ".count))))
    let listening = try site.run(.encryptor, launch())
    #expect(listening.code == 0, "\(listening.errors)")
    #expect(try connecting.wait() == 0, "\(connecting.errors)")
  }
}
