import Foundation
import Testing

/// Writes that fail for want of room, on either side: exit code 8, and the run goes on once there is room.
///
/// A limit on the size of files stands for the disk, because it needs no rights; where a small file system can be mounted, that one fills up
/// in the middle of a run.
struct FullDiskTests {
  private let site: Site

  init() throws {
    site = try Site()
    try DataFile(rows: 1000).write(to: site["data.h5"])
    try site.write(JobText().text, to: "job.yaml")
  }

  private func resume(_ trainer: RunningTrainer, location: SourceLocation = #_sourceLocation) throws {
    let resumed = try site.run(.encryptor, site.launch(trainer: trainer.endpoint, ["--resume"]))
    #expect(resumed.code == 0, "\(resumed.errors)", sourceLocation: location)
    #expect(site.exists("run/model/model.safetensors"), sourceLocation: location)
  }

  /// 750 rows in batches of 16 are 47 steps, 8 epochs of them more than 300 lines of more than 100 bytes.
  @Test func ownerCannotWriteItsHistory() throws {
    try site.write(JobText(epochs: 8).text, to: "job.yaml")
    let trainer = try site.startTrainer()
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint), largestFile: 30 << 10)
      .expectRefusal(8, saying: "run/history.jsonl", "ulimit -f", afterProgress: true)
    try resume(trainer)
  }

  /// The first files of a run: there is no run then, and nothing in the way of starting again.
  @Test func ownerCannotLayOutARun() throws {
    let trainer = try site.startTrainer()
    let ended = try site.run(.encryptor, site.launch(trainer: trainer.endpoint), largestFile: 512)
    ended.expectRefusal(8, saying: "run/")
    let again = try site.run(.encryptor, site.launch(out: "again", trainer: trainer.endpoint))
    #expect(again.code == 0, "\(again.errors)")
  }

  /// 6 × 800 + 800 × 3 weights of 4 bytes, 29 kB, are the trainer's first checkpoint.
  @Test func trainerCannotWriteItsCheckpoint() throws {
    try site.write(JobText(hidden: "[800]").text, to: "job.yaml")
    let trainer = try site.startTrainer(largestFile: 24 << 10)
    try site.run(.encryptor, site.launch(trainer: trainer.endpoint))
      .expectRefusal(8, saying: "the trainer", "File too large", afterProgress: true)
    #expect(!trainer.process.hasEnded, "it goes on serving")
    trainer.process.signal(SIGTERM)
    #expect(try trainer.process.wait() == 0)
    try resume(try site.startTrainer())
  }

  @Test(.enabled(if: SmallDisk.isPossible)) func trainerDiskFillsUp() throws {
    try site.write(JobText(epochs: 40).text, to: "job.yaml")
    let disk = try SmallDisk(at: site["store"], bytes: 1 << 20)
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > 20 })
    try disk.fill()
    try site.end(owner).expectRefusal(8, saying: "the trainer", "No space left", afterProgress: true)
    disk.empty()
    try resume(trainer)
  }

  @Test(.enabled(if: SmallDisk.isPossible)) func ownerDiskFillsUp() throws {
    try site.write(JobText(epochs: 40).text, to: "job.yaml")
    let disk = try SmallDisk(at: site["run"], bytes: 1 << 20)
    let trainer = try site.startTrainer()
    let owner = try site.start(.encryptor, site.launch(trainer: trainer.endpoint))
    #expect(Waiting.until(30) { site.text("run/history.jsonl").split(separator: "\n").count > 20 })
    try disk.fill()
    try site.end(owner).expectRefusal(8, saying: "No space left", afterProgress: true)
    disk.empty()
    try resume(trainer)
  }
}
