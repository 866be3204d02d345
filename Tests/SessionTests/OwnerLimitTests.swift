import Models
import Foundations
import Foundation
import OwnerRole
import Numerics
import Testing
import TestSupport
import Training
import Protocol

@testable import Service
@testable import TrainerRole

/// What an operator allows a single owner, and what a job over it is told.
@Suite(.waiting, .timeLimit(.minutes(10))) struct OwnerLimitTests {
  private let site: Site<Float>

  init() throws {
    site = try Site<Float>()
  }

  private func trainer(_ limits: OwnerLimits) -> TrainerHost<Float> {
    site.trainer(owners: ServedOwners(AuthorizedKeys([site.keys.ownerKey: limits])))
  }

  private func owner() -> RawOwner<Float> {
    RawOwner(site.network, site.keys.ownerKey, job: .random())
  }

  private func submit(_ owner: RawOwner<Float>, _ description: JobDescription = RawJob<Float>().description) throws {
    try owner.send(.submit(description))
    try owner.wait { message in
      if case .accepted = message { return () }
      return nil
    }
  }

  private func refusal(_ owner: RawOwner<Float>, _ description: JobDescription = RawJob<Float>().description) throws
    -> RawOwner<Float>.Refusal
  {
    try owner.refusal(of: .submit(description))
  }

  @Test func moreMemoryThanTheOwnerMayHave() throws {
    let trainer = trainer(OwnerLimits(memory: 1000))
    defer { trainer.shutDown() }
    let refused = try refusal(owner())
    #expect(refused.kind == .refused)
    #expect(refused.reason.contains("this owner's (memory=) limit is 1000 bytes a job"), "\(refused.reason)")
  }

  @Test func theTrainersOwnLimitStaysWhereItIsLower() throws {
    let trainer = site.trainer(
      memoryLimit: 1000, owners: ServedOwners(AuthorizedKeys([site.keys.ownerKey: OwnerLimits(memory: 1 << 30)])))
    defer { trainer.shutDown() }
    #expect(try refusal(owner()).reason.contains("this trainer's limit is"))
  }

  @Test func moreJobsThanTheOwnerMayHaveWaiting() throws {
    let trainer = trainer(OwnerLimits(queue: 2))
    defer { trainer.shutDown() }
    let first = owner()
    try submit(first)
    try submit(owner())
    let third = owner()
    let refused = try refusal(third)
    #expect(refused.kind == .refused)
    #expect(refused.reason.contains("2 jobs waiting") && refused.reason.contains("queue=2"))
    // Coming back to one that is here is no new job.
    try submit(first)
    // One less waits: another is taken.
    try first.send(.cancel)
    _ = try first.wait { message in
      if case .removed = message { return true }
      return nil as Bool?
    }
    try submit(third)
  }

  @Test func aRunningJobDoesNotWait() throws {
    let trainer = trainer(OwnerLimits(queue: 1))
    defer { trainer.shutDown() }
    try RawJob<Float>().begin(owner())
    try submit(owner())
    #expect(try refusal(owner()).reason.contains("queue=1"))
  }

  @Test func theLimitsOfOneOwnerAreNotThoseOfAnother() throws {
    let other = try CurveKeyPair.generate().ownerKey
    let trainer = site.trainer(
      owners: ServedOwners(AuthorizedKeys([site.keys.ownerKey: OwnerLimits(queue: 1), other: OwnerLimits()])))
    defer { trainer.shutDown() }
    try submit(owner())
    for _ in 0..<3 { try submit(RawOwner(site.network, other, job: .random())) }
    #expect(try refusal(owner()).reason.contains("queue=1"))
  }

  /// The first weights of `RawJob` are (5 + 1) × 6 + 7 × 3 numbers or so and its rows are none: twice its state stays below 4 kB,
  /// twice two jobs' does not stay below 1.5 times that.
  @Test func moreDiskThanTheOwnerMayHave() throws {
    let model = Model(RawJob<Float>().description.graph)
    let needed = try #require(JobDisk<Float>.bytesNeeded(RawJob<Float>().description, model))
    let trainer = trainer(OwnerLimits(disk: needed + needed / 2))
    defer { trainer.shutDown() }
    try submit(owner())
    let refused = try refusal(owner())
    #expect(refused.kind == .refused)
    #expect(refused.reason.contains(" of disk") && refused.reason.contains("(disk=)"))
  }

  /// Rows that would be uploaded count before any is sent.
  @Test func rowsToBeUploadedCountAsDisk() throws {
    var job = RawJob<Float>()
    let model = Model(job.description.graph)
    let without = try #require(JobDisk<Float>.bytesNeeded(job.description, model))
    job.description.lossLocation = .trainer
    job.description.task = .classification
    let with = try #require(JobDisk<Float>.bytesNeeded(job.description, model))
    // Numbers of 4 bytes: 25 rows of 5, 25 class ids, 6 batches of 8 slots.
    let numbers = 25 * 5 + 25 + 6 * 8
    #expect(with - without == 4 * numbers)
    let trainer = trainer(OwnerLimits(disk: with - 1))
    defer { trainer.shutDown() }
    #expect(try refusal(owner(), job.description).reason.contains("(disk=)"))
    try submit(owner())
  }

  /// The estimate is what training then takes, at most.
  @Test(arguments: [KeepPolicy.best, .last]) func theDiskEstimateHolds(_ keep: KeepPolicy) throws {
    let trainer = trainer(OwnerLimits())
    defer { trainer.shutDown() }
    let run = try site.run(
      SmallJob().changing {
        $0.loss = .trainer; $0.keep = keep; $0.epochs = 4; $0.hidden = [200]
      })
    var largest = 0
    try run.execute(over: site.network.connect(site.keys.ownerKey)) { _ in
      let jobs = trainer.store.appending(path: "jobs")
      for name in (try? FileManager.default.contentsOfDirectory(atPath: jobs.path)) ?? [] {
        let folder = jobs.appending(path: name)
        // History and description are a few lines beside the weights.
        let files = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter {
          !$0.hasSuffix(".jsonl")
        }
        let sizes = files.map { file in
          let attributes = try? FileManager.default.attributesOfItem(atPath: folder.appending(path: file).path)
          return (attributes?[.size] as? Int) ?? 0
        }
        largest = max(largest, sizes.reduce(0, +))
      }
    }
    let description = run.prepared.description
    let needed = try #require(JobDisk<Float>.bytesNeeded(description, Model(description.graph)))
    // Headers of the files and the job's description: 4 files of up to 2 kB.
    #expect(largest > 0 && largest <= needed + 8192, "\(largest) of \(needed)")
  }
}
