import Dispatch
import Foundation
import Foundations
import Models
import Numerics
import OwnerRole
import Protocol
import Synchronization
import TestSupport
import Testing

@testable import Service
@testable import TrainerRole

/// Several jobs at work at one trainer. Whatever they share, each ends in the bits that it has alone.
@Suite(.waiting, .timeLimit(.minutes(10))) struct JobsAtOnceTests {
  static let job = SmallJob().changing {
    $0.epochs = 40
    $0.optimizer = SmallJob.muon()
    $0.keep = .best
  }

  private func expectEqual(_ run: OwnedRun<Float>, _ undisturbed: OwnedRun<Float>) throws {
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
  }

  /// Waits until something is so, for at most two minutes.
  private func wait(until isSo: () -> Bool) -> Bool {
    let deadline = ContinuousClock.now + .seconds(120)
    while ContinuousClock.now < deadline {
      if isSo() { return true }
      Thread.sleep(forTimeInterval: 0.01)
    }
    return isSo()
  }

  /// The second begins when the first is under way, and the first waits for it in the middle.
  @Test(arguments: [1, 3])
  func twoOwnersJobsAtOnce(_ threads: Int) throws {
    let site = try Site<Float>()
    let trainer = site.trainer(threads: threads, jobsAtOnce: 2)
    defer { trainer.shutDown() }
    let first = try site.run(Self.job, name: "first")
    let second = try site.run(
      Self.job.changing { $0.seed = 2 }, name: "second", keys: try CurveKeyPair.generate())
    let alone = (try site.undisturbed(first), try site.undisturbed(second))
    let failure = Mutex<(any Error)?>(nil)
    let (isUnderWay, isDone) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    var isStarted = false
    try first.execute(over: site.network.connect(first.keys.ownerKey), threads: threads) { event in
      guard case .progress(.step(step: 2, _, _, _, _), _) = event, !isStarted else { return }
      isStarted = true
      Thread {
        do {
          try second.execute(over: site.network.connect(second.keys.ownerKey), threads: threads) { event in
            if case .progress(.step(step: 2, _, _, _, _), _) = event { isUnderWay.signal() }
          }
        } catch {
          failure.withLock { $0 = error }
        }
        isDone.signal()
      }.start()
      #expect(isUnderWay.wait(timeout: .now() + 120) == .success)
    }
    isDone.wait()
    #expect(failure.withLock { $0 } == nil)
    #expect(trainer.events.finished == 2 && trainer.events.pauses.isEmpty)
    try expectEqual(first, alone.0)
    try expectEqual(second, alone.1)
  }

  /// The trainer is killed while both run by themselves.
  @Test func killedWithTwoAtWork() throws {
    let site = try Site<Float>()
    let jobs = try site.runs(2, of: Self.job) {
      $1.loss = .trainer
      $1.epochs = 120
      $1.seed = $0
    }
    let undisturbed = try jobs.map { try site.undisturbed($0) }
    let first = site.trainer(jobsAtOnce: 2)
    for job in jobs { try job.execute(over: site.network.connect(job.keys.ownerKey), detach: true) }
    #expect(wait { first.events.started == 2 })
    let snapshot = site.directory.url("snapshot")
    try first.kill(snapshot: snapshot)
    let second = site.trainer(store: "snapshot", jobsAtOnce: 2)
    defer { second.shutDown() }
    for (job, alone) in zip(jobs, undisturbed) {
      try job.reopened().execute(on: site.network)
      try expectEqual(job, alone)
    }
  }

  /// As by SIGTERM: all that run are saved.
  @Test func stoppedWithTwoAtWork() throws {
    let site = try Site<Float>()
    let first = site.trainer(jobsAtOnce: 2)
    let owners = try (0..<2).map { _ in
      RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    }
    let job = RawJob<Float>()
    for owner in owners {
      try job.begin(owner)
      try takeStep(0, owner)
    }
    first.shutDown()
    #expect(first.events.pauses == [1, 1])
    let second = site.trainer(jobsAtOnce: 2)
    defer { second.shutDown() }
    for owner in owners {
      let again = RawOwner<Float>(site.network, owner.key, job: owner.job)
      try again.send(.submit(job.description))
      #expect(try job.attach(again, historySteps: 1).step == 1)
    }
  }

  @Test func oneOfTwoIsCancelled() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(jobsAtOnce: 2)
    defer { trainer.shutDown() }
    let run = try site.run(Self.job)
    let undisturbed = try site.undisturbed(run)
    let other = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    try RawJob<Float>().begin(other)
    var isCancelled = false
    try run.execute(over: site.network.connect(site.keys.ownerKey)) { event in
      guard case .progress(.step(step: 5, _, _, _, _), _) = event, !isCancelled else { return }
      isCancelled = true
      do {
        try other.send(.cancel)
        _ = try other.wait { if case .removed = $0 { true } else { nil } }
      } catch {
        Issue.record(error)
      }
    }
    #expect(isCancelled && trainer.events.pauses.isEmpty)
    try expectEqual(run, undisturbed)
  }

  @Test func oneOfTwoOwnersIsRemoved() throws {
    let site = try Site<Float>()
    let other = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    let owners = ServedOwners(AuthorizedKeys([site.keys.ownerKey, other.key]))
    let trainer = site.trainer(owners: owners, jobsAtOnce: 2)
    defer { trainer.shutDown() }
    let run = try site.run(Self.job)
    let undisturbed = try site.undisturbed(run)
    try RawJob<Float>().begin(other)
    try takeStep(0, other)
    var isRemoved = false
    try run.execute(over: site.network.connect(site.keys.ownerKey)) { event in
      guard case .progress(.step(step: 5, _, _, _, _), _) = event, !isRemoved else { return }
      isRemoved = true
      owners.replace(with: AuthorizedKeys([site.keys.ownerKey]))
      #expect((try? other.refusal().reason.contains("not listed")) == true)
    }
    #expect(trainer.events.pauses == [1])
    try expectEqual(run, undisturbed)
  }

  // MARK: - Memory

  private static let large = RawJob<Float>().changing { $0.graph = .perceptron(features: 4, hidden: [64]) }
  private static let small = RawJob<Float>()

  /// Two large jobs do not fit together: the second waits, a small one passes it, and nothing is refused.
  @Test func memoryIsSummed() throws {
    let (large, small) = (try Self.memory(Self.large), try Self.memory(Self.small))
    #expect(2 * small < large)
    let site = try Site<Float>()
    let trainer = site.trainer(memoryLimit: large + small, jobsAtOnce: 3)
    defer { trainer.shutDown() }
    let owners = try (0..<3).map { _ in
      RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    }
    try Self.large.begin(owners[0])
    try line(up: Self.large, owners[1])
    #expect(try position(owners[1]) == 1)
    try Self.small.begin(owners[2])
    // The third's end is not enough, the first's is.
    try owners[2].send(.leave)
    #expect(wait { trainer.events.pauses.count == 1 })
    #expect(trainer.events.started == 2)
    try owners[0].send(.leave)
    _ = try owners[1].wait { if case .attached = $0 { true } else { nil } }
    #expect(trainer.events.refusals.isEmpty)
  }

  /// One that waits for memory for longer than a turn is passed by no other any more.
  @Test func aLargeJobIsNotPassedForEver() throws {
    let (large, small) = (try Self.memory(Self.large), try Self.memory(Self.small))
    let site = try Site<Float>()
    let trainer = site.trainer(memoryLimit: large + small, jobsAtOnce: 4, turn: .milliseconds(400))
    defer { trainer.shutDown() }
    let owners = try (0..<3).map { _ in
      RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    }
    // Idle, so that it comes to no step's end: it loses its place after two turns.
    try Self.large.begin(owners[0])
    try line(up: Self.large, owners[1])
    Thread.sleep(forTimeInterval: 0.5)
    try line(up: Self.small, owners[2])
    #expect(try position(owners[2]) == 2)
    _ = try owners[1].wait { if case .attached = $0 { true } else { nil } }
    _ = try owners[2].wait { if case .attached = $0 { true } else { nil } }
  }

  private static func memory(_ job: RawJob<Float>) throws -> Int {
    try #require(JobAdmission<Float>.memoryEstimate(job.description))
  }

  // MARK: - Who is next

  /// A has one at work and two in line before B comes: B is next, and then A's in their order.
  @Test func theOwnerWithFewerAtWorkIsNext() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let other = try CurveKeyPair.generate().ownerKey
    let a = (0..<3).map { _ in RawOwner<Float>(site.network, site.keys.ownerKey, job: .random()) }
    let b = RawOwner<Float>(site.network, other, job: .random())
    try Self.small.begin(a[0])
    for owner in a.dropFirst() { try line(up: Self.small, owner) }
    #expect(try position(a[2]) == 2)
    try line(up: Self.small, b)
    #expect(try position(b) == 1)
    #expect(try position(a[1]) == 2 && position(a[2]) == 3)
    try a[0].send(.leave)
    _ = try b.wait { if case .attached = $0 { true } else { nil } }
    try b.send(.leave)
    _ = try a[1].wait { if case .attached = $0 { true } else { nil } }
    #expect(try status(a[2]).state == .queued)
  }

  /// An owner that comes back on a new connection finds its job in its place, whoever waits.
  @Test func whoComesBackGoesOnBeforeThoseInLine() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let first = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    let other = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    try Self.small.begin(first)
    try takeStep(0, first)
    try line(up: Self.small, other)
    let again = RawOwner<Float>(site.network, site.keys.ownerKey, job: first.job)
    try again.send(.submit(Self.small.description))
    #expect(try Self.small.attach(again, historySteps: 1).step == 1)
    #expect(try status(other).state == .queued)
  }

  /// Whoever waits hears of its new place when one before it is cancelled, or its owner goes.
  @Test func thoseBehindHearWhenOneLeavesTheLine() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let running = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try Self.small.begin(running)
    let waiting = try (0..<4).map { _ in
      RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    }
    for owner in waiting { try line(up: Self.small, owner) }
    try waiting[0].send(.cancel)
    for (place, owner) in waiting.dropFirst().enumerated() {
      _ = try owner.wait { if case .queued(place + 1) = $0 { true } else { nil } }
    }
    try waiting[1].send(.leave)
    for (place, owner) in waiting.dropFirst(2).enumerated() {
      _ = try owner.wait { if case .queued(place + 1) = $0 { true } else { nil } }
    }
  }

  @Test func severalAtOnceNeedOneProcess() throws {
    #expect(throws: ServiceError.self) { try TrainerConfiguration.check(jobsAtOnce: 2, areReplicated: true) }
    #expect(throws: Never.self) { try TrainerConfiguration.check(jobsAtOnce: 1, areReplicated: true) }
    #expect(throws: Never.self) { try TrainerConfiguration.check(jobsAtOnce: 2, areReplicated: false) }
  }

  // MARK: - By hand

  /// Submits, uploads and attaches, without waiting for the turn.
  private func line(up job: RawJob<Float>, _ owner: RawOwner<Float>) throws {
    try owner.send(.submit(job.description))
    try job.upload(owner)
    try owner.send(.attach(historySteps: 0))
    _ = try owner.wait { if case .queued = $0 { true } else { nil } }
  }

  private func status(_ owner: RawOwner<Float>) throws -> JobStatus {
    try owner.send(.status)
    return try owner.wait { if case .status(let status) = $0 { status } else { nil } }
  }

  private func position(_ owner: RawOwner<Float>) throws -> Int {
    try status(owner).queuePosition
  }

  /// One step of `RawJob`, whole.
  private func takeStep(_ step: Int, _ owner: RawOwner<Float>) throws {
    for part in 0..<2 {
      try owner.send(.batch(step: step, part: part, rows: RawJob<Float>.rows(4 * part..<4 * part + 4)))
      _ = try owner.wait { if case .outputs(step, part, _) = $0 { true } else { nil } }
      try owner.send(.gradient(step: step, part: part, values: RawJob<Float>.gradient()))
    }
    _ = try owner.wait { if case .stepApplied(step, _, _) = $0 { true } else { nil } }
  }
}

extension RawJob {
  fileprivate func changing(_ change: (inout JobDescription) -> Void) -> RawJob {
    var copy = self
    change(&copy.description)
    return copy
  }
}
