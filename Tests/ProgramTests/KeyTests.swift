import Foundation
import Testing
import TestSupport

/// Keys that are missing, exposed, or not the right ones: exit code 4, or 6 where the trainer decides.
@Suite(.waiting)
struct KeyTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile().write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func run(_ endpoint: String = Site.unusedEndpoint(), _ options: String...) throws -> Ended {
    try site.run(.encryptor, site.launch(trainer: endpoint, ["--patience", "0"] + options))
  }

  @Test func keysAreReadableByTheirOwnerAlone() throws {
    for file in ["owner/owner.key", "trainer/trainer.key"] {
      let mode = try FileManager.default.attributesOfItem(atPath: site[file])[.posixPermissions] as? Int
      #expect(mode == 0o600)
    }
  }

  @Test func keysAreNotOverwritten() throws {
    let before = try site.bytes("owner/owner.key")
    try site.encryptor("keygen", "owner").expectRefusal(4, saying: "owner.key", "never overwritten")
    try site.run(.trainer, ["keygen", "trainer"])
      .expectRefusal(4, saying: "trainer.key", "never overwritten", program: .trainer)
    #expect(try site.bytes("owner/owner.key") == before)
  }

  @Test func ownerKeyMissing() throws {
    try FileManager.default.removeItem(atPath: site["owner/owner.key"])
    try run().expectRefusal(4, saying: "owner/owner.key", "keygen")
  }

  @Test func ownerKeyReadableByOthers() throws {
    site.setMode(0o640, of: "owner/owner.key")
    try run().expectRefusal(4, saying: "owner/owner.key", "chmod 600")
    #expect(!site.exists("run"))
  }

  @Test func trainerKeyReadableByOthers() throws {
    site.setMode(0o604, of: "trainer/trainer.key")
    try site.run(.trainer, ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store"])
      .expectRefusal(4, saying: "trainer/trainer.key", "chmod 600", program: .trainer)
  }

  @Test func trainerKeyFileThatIsNone() throws {
    try site.write("not a key\n", to: "trainer/trainer.pub")
    try run().expectRefusal(4, saying: "trainer/trainer.pub is not a key file")
  }

  @Test func listOfOwnersThatCannotBeRead() throws {
    try site.write("not a key\n", to: "owners.txt")
    try site.run(.trainer, ["serve", "--keys", "trainer", "--authorized", "owners.txt", "--store", "store"])
      .expectRefusal(4, saying: "owners.txt, line 1", program: .trainer)
  }

  /// Two runs begun and their keys exchanged.
  @Test func jobKeyOfAnotherJob() throws {
    let silent = Site.unusedEndpoint()
    for run in ["run", "other"] {
      #expect(try site.run(.encryptor, site.launch(out: run, trainer: silent, ["--patience", "0"])).code == 5)
    }
    try FileManager.default.removeItem(atPath: site["run/state/job.key"])
    try FileManager.default.copyItem(atPath: site["other/state/job.key"], toPath: site["run/state/job.key"])
    try run(silent, "--resume").expectRefusal(4, saying: "run/state/job.key", "another job")
  }

  @Test func jobKeyReadableByOthers() throws {
    let silent = Site.unusedEndpoint()
    #expect(try run(silent).code == 5)
    site.setMode(0o644, of: "run/state/job.key")
    try run(silent, "--resume").expectRefusal(4, saying: "run/state/job.key", "chmod 600")
  }

  /// Batch orders and starting weights come from the owner's key: with another one it would be another run.
  @Test func runOfAnotherOwner() throws {
    let silent = Site.unusedEndpoint()
    #expect(try run(silent).code == 5)
    try FileManager.default.moveItem(atPath: site["owner"], toPath: site["first"])
    #expect(try site.encryptor("keygen", "owner").code == 0)
    try run(silent, "--resume").expectRefusal(4, saying: "the run was made with the owner key")
  }

  @Test func unlistedOwner() throws {
    try site.authorizeOwner(false)
    let trainer = try site.startTrainer()
    let key = site.text("owner/owner.pub").split(separator: "\n").last ?? ""
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
      .expectRefusal(6, saying: "does not admit this owner's key", String(key), afterProgress: true)
    #expect(Waiting.until(10) { trainer.process.errors.contains("peer refused") })
    #expect(trainer.process.errors.contains(key.prefix(8)))
  }

  /// Said as soon as it is known, however patient the run is.
  @Test func wrongTrainerKey() throws {
    let trainer = try site.startTrainer()
    #expect(try site.run(.trainer, ["keygen", "another"]).code == 0)
    try FileManager.default.removeItem(atPath: site["trainer/trainer.pub"])
    try FileManager.default.copyItem(atPath: site["another/trainer.pub"], toPath: site["trainer/trainer.pub"])
    let began = ContinuousClock.now
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--patience", "300"]))
      .expectRefusal(4, saying: trainer.endpoint, "does not hold the server key", afterProgress: true)
    #expect(began.duration(to: .now) < .seconds(30))
  }

  /// SIGHUP reads the list again: an owner that was turned away is let in, without a restart.
  @Test func listIsReadAgainOnHangup() throws {
    try site.authorizeOwner(false)
    let trainer = try site.startTrainer()
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 6)
    try site.authorizeOwner()
    trainer.process.signal(SIGHUP)
    #expect(Waiting.until(10) { trainer.process.errors.contains("authorized owners read again") })
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(ended.code == 0, "\(ended.errors)")
  }

  /// A list that cannot be read leaves the one in force.
  @Test func badListOnHangup() throws {
    let trainer = try site.startTrainer()
    try site.write("nonsense\n", to: "owners.txt")
    trainer.process.signal(SIGHUP)
    #expect(Waiting.until(10) { trainer.process.errors.contains("authorized owners kept as they were") })
    #expect(try site.run(.encryptor, site.launch(trainer: trainer.endpoint)).code == 0)
  }
}
