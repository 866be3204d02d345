import Models
import Dispatch
import Foundations
import Foundation
import OwnerRole
import Testing
import TestSupport
import Protocol

/// What a trainer finds in its store when it starts.
@Suite(.waiting, .timeLimit(.minutes(10))) struct StoreTests {
  private func prepared(_ site: Site<Float>, steps: Int = 0) throws -> (RawOwner<Float>, URL) {
    let trainer = site.trainer()
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    let job = RawJob<Float>()
    try job.begin(owner)
    for step in 0..<steps {
      // The last batch of an epoch has 4 rows, one part.
      for part in 0..<(step % 3 == 2 ? 1 : 2) {
        try owner.send(.batch(step: step, part: part, rows: RawJob<Float>.rows((4 * part)..<(4 * part + 4))))
        try owner.send(.gradient(step: step, part: part, values: RawJob<Float>.gradient()))
      }
      _ = try owner.wait { message in
        if case .stepApplied(step, _, _) = message { return true }
        return nil as Bool?
      }
    }
    trainer.shutDown()
    return (owner, trainer.store.appending(path: "jobs").appending(path: owner.job.description))
  }

  private func again(_ site: Site<Float>, _ owner: RawOwner<Float>) -> RawOwner<Float> {
    RawOwner(site.network, site.keys.ownerKey, job: owner.job)
  }

  @Test func anUnreadableJobFolderIsReportedAndLeftAlone() throws {
    let site = try Site<Float>()
    let (owner, folder) = try prepared(site)
    let stray = folder.deletingLastPathComponent().appending(path: "not a job")
    try FileManager.default.createDirectory(at: stray, withIntermediateDirectories: true)
    let damaged = folder.deletingLastPathComponent().appending(path: JobID.random().description)
    try FileManager.default.createDirectory(at: damaged, withIntermediateDirectories: true)
    try Data("{".utf8).write(to: damaged.appending(path: "job.json"))
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    // The job beside them is served.
    let back = again(site, owner)
    #expect(try RawJob<Float>().attach(back).step == 0)
    #expect(trainer.events.refusals.count { $0.contains("unreadable job folder") } == 2)
    #expect(FileManager.default.fileExists(atPath: stray.path))
    #expect(FileManager.default.fileExists(atPath: damaged.appending(path: "job.json").path))
  }

  @Test func aDamagedCheckpointIsRefusedAndTheJobGoesOnFromAnother() throws {
    let site = try Site<Float>()
    let (owner, folder) = try prepared(site, steps: 2)
    let newest = folder.appending(path: "checkpoint-000000002.safetensors")
    var bytes = try Data(contentsOf: newest)
    bytes[bytes.count - 3] ^= 1
    try bytes.write(to: newest)
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let back = again(site, owner)
    let refusal = try back.refusal(of: .attach(historySteps: 2))
    // Not bad input data: the file is the trainer's.
    #expect(refusal.kind == .refused)
    for text in ["the trainer has stored of this job is damaged", "ask its operator", "another --out"] {
      #expect(refusal.reason.contains(text), "\(refusal.reason)")
    }
    #expect(refusal.reason.contains("changed after it was written"))
    // Nothing is lost: the operator removes it, and the job goes on from the one before.
    try FileManager.default.removeItem(at: newest)
    #expect(try RawJob<Float>().attach(back, historySteps: 2).step == 0)
  }

  @Test func aTruncatedCheckpointIsRefused() throws {
    let site = try Site<Float>()
    let (owner, folder) = try prepared(site, steps: 2)
    let newest = folder.appending(path: "checkpoint-000000002.safetensors")
    try Data(contentsOf: newest).dropLast(1).write(to: newest)
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    #expect(try again(site, owner).refusal(of: .attach(historySteps: 2)).kind == .refused)
  }

  /// A trainer goes back to a checkpoint that the owner's history reaches.
  @Test func anOwnerBehindTheTrainer() throws {
    let site = try Site<Float>()
    let (owner, folder) = try prepared(site, steps: 3)
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    #expect(FileManager.default.fileExists(atPath: folder.appending(path: "checkpoint-000000003.safetensors").path))
    let back = again(site, owner)
    #expect(try RawJob<Float>().attach(back, historySteps: 2).step == 2)
    #expect(try RawJob<Float>().attach(again(site, owner), historySteps: 1).step == 0)
  }

  /// An owner whose history does not reach the newest checkpoint commits what it has: the one it needs must stay.
  @Test func committingAnOlderStepKeepsTheCheckpointItNeeds() throws {
    let site = try Site<Float>()
    let (owner, _) = try prepared(site, steps: 3)
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let back = again(site, owner)
    #expect(try RawJob<Float>().attach(back, historySteps: 3).step == 3)
    try back.send(.commit(step: 1))
    try back.send(.save)
    _ = try back.wait { message in
      if case .checkpointed(3) = message { return true }
      return nil as Bool?
    }
    #expect(try RawJob<Float>().attach(again(site, owner), historySteps: 1).step == 0)
  }

  /// Killed between the weights' checkpoint and the note that they are complete.
  @Test func weightsStoredButNotNoted() throws {
    let site = try Site<Float>()
    let (owner, folder) = try prepared(site)
    let file = folder.appending(path: "job.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    let uploading = text.replacing("\"ready\"", with: "\"uploading\"")
    #expect(uploading != text)
    try Data(uploading.utf8).write(to: file)
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let back = again(site, owner)
    try back.send(.submit(RawJob<Float>().description))
    #expect(try RawJob<Float>().attach(back).step == 0)
  }

  /// Questions during a run must not take the file that a checkpoint is being written to for a leftover.
  @Test func statusWhileCheckpointsAreWritten() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(
      SmallJob().changing {
        $0.checkpointEverySteps = 1; $0.hidden = [200, 200]; $0.microBatch = 8
      })
    let isOver = Flag()
    let asking = DispatchSemaphore(value: 0)
    Thread {
      let connection = run.connection(on: site.network)
      while !isOver.isRaised { _ = try? connection.status() }
      asking.signal()
    }.start()
    defer {
      isOver.raise()
      asking.wait()
    }
    try run.execute(on: site.network)
    #expect(trainer.events.checkpoints.count >= 50)
  }

  @Test func leftoversOfAKilledWriteAreRemoved() throws {
    let site = try Site<Float>()
    let (_, folder) = try prepared(site)
    let leftover = folder.appending(path: ".writing-0123456789abcdef")
    try Data("half".utf8).write(to: leftover)
    site.trainer().shutDown()
    #expect(!FileManager.default.fileExists(atPath: leftover.path))
  }
}
