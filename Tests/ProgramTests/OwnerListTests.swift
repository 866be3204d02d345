import Foundation
import Testing

/// Limits of single owners, and owners that leave the list, by the authorized file and SIGHUP.
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

  /// The "an owner removed from the authorized file mid-job": its connection ends, its job is saved after a whole step, and
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
