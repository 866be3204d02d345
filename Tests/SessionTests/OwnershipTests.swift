import Models
import Dispatch
import Foundations
import Foundation
import OwnerRole
import Synchronization
import Testing
import TestSupport
import Protocol

/// Several owners at one trainer, and several connections of one owner.
@Suite(.waiting, .timeLimit(.minutes(10))) struct OwnershipTests {
  @Test func anotherOwnersJobLooksLikeNoJob() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    let job = RawJob<Float>()
    try job.begin(owner)
    let stranger = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: owner.job)
    let lost = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    let messages: [OwnerMessage<Float>] = [
      .status, .attach(historySteps: 0), .retrieve(chunk: 0), .cancel, .release, .start, .follow(from: 0), .finish,
      .save,
      .leave, .commit(step: 3), .parameters(chunk: 0, values: RawJob<Float>.gradient()),
      .batch(step: 0, part: 0, rows: RawJob<Float>.rows(0..<4)),
    ]
    for message in messages {
      let refusal = try stranger.refusal(of: message)
      #expect(refusal.kind == .refused)
      // Word for word what is said of a job that never was.
      #expect(try lost.refusal(of: message) == refusal)
    }
    #expect(
      try stranger.refusal(of: .submit(job.description)).reason == "this trainer has no job of this id for this owner")
    // The job and its conversation are as before.
    try owner.send(.batch(step: 0, part: 0, rows: RawJob<Float>.rows(0..<4)))
    _ = try owner.wait { message in
      if case .outputs(0, 0, _) = message { return true }
      return nil as Bool?
    }
  }

  @Test func twoOwnersJobsQueueAndBothFinish() throws {
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let first = try site.run(SmallJob(), name: "first")
    let second = try site.run(
      SmallJob().changing {
        $0.activation = .tanh; $0.seed = 2
      }, name: "second", keys: try CurveKeyPair.generate())
    let queued = Mutex<[Int]>([])
    let failure = Mutex<(any Error)?>(nil)
    let isDone = DispatchSemaphore(value: 0)
    var isStarted = false
    // The second comes when the first is under way.
    try first.execute(over: site.network.connect(first.keys.ownerKey)) { event in
      guard case .progress(.step(step: 2, _, _, _, _), _) = event, !isStarted else { return }
      isStarted = true
      let isWaiting = DispatchSemaphore(value: 0)
      Thread {
        do {
          try second.execute(over: site.network.connect(second.keys.ownerKey)) { event in
            if case .queued(let position) = event {
              queued.withLock { $0.append(position) }
              isWaiting.signal()
            }
          }
        } catch {
          failure.withLock { $0 = error }
        }
        isWaiting.signal()
        isDone.signal()
      }.start()
      isWaiting.wait()
    }
    isDone.wait()
    #expect(failure.withLock { $0 } == nil)
    #expect(queued.withLock { $0.first } == 1)
    #expect(trainer.events.finished == 2)
    for run in [first, second] {
      let plain = try PlaintextRun(run.directory, job: run.prepared.job, data: site.data)
      #expect(try plain.largestRelativeDifference(to: run.directory) <= ExactnessTests.bound)
    }
  }

  /// `encryptor status` beside a run must not draw the trainer's answers to itself.
  @Test func askingForTheStatusDoesNotDisturbARun() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob())
    let undisturbed = try site.undisturbed(run)
    var states: Set<JobState> = []
    var lost = 0
    let connection = run.connection(on: site.network)
    try run.execute(over: site.network.connect(site.keys.ownerKey)) { event in
      if case .trainerLost = event { lost += 1 }
      guard case .progress(.step, _) = event, let status = try? connection.status() else { return }
      states.insert(status.state)
    }
    #expect(states == [.running])
    #expect(lost == 0)
    #expect(try run.model() == undisturbed.model())
  }

  /// The second connection that takes the job over gets it; the first is told.
  @Test func anotherConnectionOfTheOwnerTakesOver() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let first = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    let job = RawJob<Float>()
    try job.begin(first)
    try first.send(.batch(step: 0, part: 0, rows: RawJob<Float>.rows(0..<4)))
    let second = RawOwner<Float>(site.network, site.keys.ownerKey, job: first.job)
    try second.send(.submit(job.description))
    #expect(try job.attach(second).step == 0)
    #expect(
      try first.refusal(of: .gradient(step: 0, part: 0, values: RawJob<Float>.gradient())).reason.contains(
        "taken the job over"))
    try second.send(.batch(step: 0, part: 0, rows: RawJob<Float>.rows(0..<4)))
    _ = try second.wait { message in
      if case .outputs(0, 0, _) = message { return true }
      return nil as Bool?
    }
  }

  /// Without sending anything: it would wait for ever.
  @Test(arguments: [true, false]) func whoLosesAJobToAnotherConnectionIsTold(whileItRuns: Bool) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let job = RawJob<Float>()
    let other = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    // Another job keeps it in line.
    if !whileItRuns { try job.begin(other) }
    let first = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try first.send(.submit(job.description))
    try job.upload(first)
    try first.send(.attach(historySteps: 0))
    _ = try first.wait { message in
      switch message {
      case .queued where !whileItRuns, .attached where whileItRuns: true
      default: nil as Bool?
      }
    }
    let second = RawOwner<Float>(site.network, site.keys.ownerKey, job: first.job)
    try second.send(.submit(job.description))
    try second.send(.attach(historySteps: 0))
    #expect(try first.refusal().reason == "another connection of this owner has taken the job over")
    if !whileItRuns { try other.send(.cancel) }
    _ = try second.wait { message in
      if case .attached = message { return true }
      return nil as Bool?
    }
  }

  /// Its run directory is an old copy: the job must not be submitted anew.
  @Test func aHistoryThatEndsBeforeAllCheckpointsIsToldWhy() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let job = RawJob<Float>()
    let first = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try job.begin(first)
    for step in 0..<2 {
      for part in 0..<2 {
        try first.send(.batch(step: step, part: part, rows: RawJob<Float>.rows(part * 4..<part * 4 + 4)))
        try first.send(.gradient(step: step, part: part, values: RawJob<Float>.gradient()))
      }
    }
    _ = try first.wait { message in
      if case .checkpointed(step: 2) = message { return true }
      return nil as Bool?
    }
    try first.send(.commit(step: 2))
    // Answered when the commit is done.
    try first.send(.save)
    _ = try first.wait { message in
      if case .checkpointed(step: 2) = message { return true }
      return nil as Bool?
    }
    let second = RawOwner<Float>(site.network, site.keys.ownerKey, job: first.job)
    try second.send(.submit(job.description))
    let reason = try second.refusal(of: .attach(historySteps: 1)).reason
    #expect(reason.contains("took the job further: the oldest checkpoint left is of step 2"), "\(reason)")
    // The first has lost nothing.
    try first.send(.batch(step: 2, part: 0, rows: RawJob<Float>.rows(0..<4)))
    _ = try first.wait { message in
      if case .outputs(2, 0, _) = message { return true }
      return nil as Bool?
    }
  }

  @Test func cancellingARunningJobRemovesItAndTellsTheRun() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob())
    let other = run.connection(on: site.network)
    var isCancelled = false
    let error = #expect(throws: OwnerError.self) {
      try run.execute(over: site.network.connect(site.keys.ownerKey)) { event in
        guard case .progress(.step(step: 4, _, _, _, _), _) = event else { return }
        try? other.send(.cancel)
        isCancelled =
          (try? other.waitFor { message in
            if case .removed = message { return true }
            return nil as Bool?
          }) ?? false
      }
    }
    #expect(isCancelled)
    #expect(error?.kind == .refused)
    #expect(try jobFolders(trainer).isEmpty)
    #expect(throws: OwnerError.self) { try other.status() }
  }

  @Test func cancellingAWaitingJobRemovesItsFiles() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try owner.send(.submit(RawJob<Float>().description))
    try RawJob<Float>().upload(owner)
    #expect(try jobFolders(trainer) == [owner.job.description])
    try owner.send(.cancel)
    _ = try owner.wait { message in
      if case .removed = message { return true }
      return nil as Bool?
    }
    #expect(try jobFolders(trainer).isEmpty)
  }

  @Test(arguments: [LossLocation.owner, .trainer])
  func releaseRemovesTheJobsFiles(_ loss: LossLocation) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(
      SmallJob().changing {
        $0.loss = loss; $0.epochs = 1
      })
    var whileRunning = 0
    try run.execute(over: site.network.connect(site.keys.ownerKey)) { event in
      if case .progress = event { whileRunning = (try? jobFolders(trainer).count) ?? 0 }
    }
    #expect(whileRunning == 1)
    #expect(try jobFolders(trainer).isEmpty)
  }

  private func jobFolders(_ trainer: TrainerHost<Float>) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: trainer.store.appending(path: "jobs").path)
  }
}
