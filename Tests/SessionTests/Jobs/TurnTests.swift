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

/// A running job makes room for one that has waited for longer than a turn, and loses nothing by it.
@Suite(.waiting, .timeLimit(.minutes(10))) struct TurnTests {
  static let turn = Duration.milliseconds(60)
  /// 400 steps of some milliseconds as the owner below paces them: many turns.
  static let long = SmallJob().changing {
    $0.epochs = 80
    $0.optimizer = SmallJob.muon()
    $0.keep = .best
  }
  static let short = SmallJob().changing {
    $0.epochs = 2
    $0.seed = 2
  }

  private func expectEqual(_ run: OwnedRun<Float>, _ undisturbed: OwnedRun<Float>) throws {
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
  }

  /// The small job begins when the long one is at its tenth step, and is done before it, at a trainer with one place.
  @Test(arguments: [LossLocation.owner, .trainer], [true, false])
  func aSmallJobIsDoneDuringALongOne(_ loss: LossLocation, isOwnersOwn: Bool) throws {
    try share(loss, isOwnersOwn: isOwnersOwn, ranks: nil)
  }

  @Test(arguments: [LossLocation.owner, .trainer]) func ranksTakeTurns(_ loss: LossLocation) throws {
    try share(loss, isOwnersOwn: false, ranks: 2)
  }

  private func share(_ loss: LossLocation, isOwnersOwn: Bool, ranks: Int?) throws {
    let site = try Site<Float>()
    let trainer = site.trainer(hasEventLog: true, turn: Self.turn, ranks: ranks)
    defer { trainer.shutDown() }
    let long = try site.run(
      Self.long.changing {
        $0.loss = loss
        // It has the trainer to itself between two of its owner's looks.
        if loss == .trainer { $0.epochs = 200 }
      }, name: "long")
    let short = try site.run(
      Self.short.changing { $0.loss = loss }, name: "short", keys: isOwnersOwn ? nil : try CurveKeyPair.generate())
    let alone = (try site.undisturbed(long, ranks: ranks), try site.undisturbed(short, ranks: ranks))
    let failure = Mutex<(any Error)?>(nil)
    let finished = Mutex<[String]>([])
    let isDone = DispatchSemaphore(value: 0)
    var (isStarted, turns) = (false, 0)
    try long.execute(over: site.network.connect(long.keys.ownerKey)) { event in
      switch event {
      case .turnEnded: turns += 1
      case .progress(.step(let step, _, _, _, _), _):
        if loss == .owner { Thread.sleep(forTimeInterval: 0.004) }
        guard step >= 10, !isStarted else { return }
        isStarted = true
        Thread {
          do { try short.execute(over: site.network.connect(short.keys.ownerKey)) } catch {
            failure.withLock { $0 = error }
          }
          finished.withLock { $0.append("short") }
          isDone.signal()
        }.start()
      default: break
      }
    }
    finished.withLock { $0.append("long") }
    isDone.wait()
    #expect(failure.withLock { $0 } == nil)
    #expect(finished.withLock { $0 } == ["short", "long"])
    #expect(trainer.events.pauses.count >= 1)
    // An owner whose loss the trainer computes only follows.
    if loss == .owner { #expect(turns >= 1) }
    try expectEqual(long, alone.0)
    try expectEqual(short, alone.1)
    let log = try String(contentsOf: trainer.store.appending(path: "audit.log"), encoding: .utf8)
    #expect(log.contains("\"event\":\"turn_ended\""))
  }

  /// Two long jobs at one place: each goes on after the other's turn, and neither before.
  @Test func twoLongJobsTakeTurns() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(turn: Self.turn)
    defer { trainer.shutDown() }
    let runs = try site.runs(2, of: Self.long) { $1.seed = $0 }
    let alone = try runs.map { try site.undisturbed($0) }
    let failures = Mutex<[any Error]>([])
    let start = ContinuousClock.now
    let group = DispatchGroup()
    for run in runs {
      group.enter()
      Thread {
        do {
          try run.execute(over: site.network.connect(run.keys.ownerKey)) { event in
            if case .progress(.step, _) = event { Thread.sleep(forTimeInterval: 0.004) }
          }
        } catch {
          failures.withLock { $0.append(error) }
        }
        group.leave()
      }.start()
    }
    group.wait()
    #expect(failures.withLock { $0.isEmpty })
    let turns = trainer.events.pauses.count
    #expect(turns >= 2)
    // Each turn that was ended had lasted.
    #expect(Double(turns) <= start.duration(to: .now) / Self.turn)
    for (run, undisturbed) in zip(runs, alone) { try expectEqual(run, undisturbed) }
  }

  @Test(arguments: [LossLocation.owner, .trainer]) func aJobAloneIsNeverStopped(_ loss: LossLocation) throws {
    let site = try Site<Float>()
    let trainer = site.trainer(turn: .milliseconds(5))
    defer { trainer.shutDown() }
    try site.run(Self.long.changing { $0.loss = loss }).execute(on: site.network)
    #expect(trainer.events.pauses.isEmpty && trainer.events.started == 1)
  }

  /// The long job is killed with its trainer while the other has its turn.
  @Test func killedBetweenTurns() throws {
    let site = try Site<Float>()
    let runs = try site.runs(2, of: Self.long) {
      $1.loss = .trainer
      $1.epochs = 60
      $1.seed = $0
    }
    let alone = try runs.map { try site.undisturbed($0) }
    let first = site.trainer(turn: .milliseconds(200))
    for run in runs { try run.execute(over: site.network.connect(run.keys.ownerKey), detach: true) }
    let deadline = ContinuousClock.now + .seconds(120)
    while first.events.pauses.count < 2, first.events.finished == 0, ContinuousClock.now < deadline {
      Thread.sleep(forTimeInterval: 0.005)
    }
    try first.kill(snapshot: site.directory.url("snapshot"))
    let second = site.trainer(store: "snapshot", turn: .milliseconds(200))
    defer { second.shutDown() }
    for (run, undisturbed) in zip(runs, alone) {
      try run.reopened().execute(on: site.network)
      try expectEqual(run, undisturbed)
    }
  }

  /// An owner that lets its step wait keeps its place for two turns at most; what it sends later is void until it greets again.
  @Test func anIdleOwnerLosesItsPlace() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(turn: Self.turn)
    defer { trainer.shutDown() }
    let job = RawJob<Float>()
    let idle = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try job.begin(idle)
    try idle.send(.batch(step: 0, part: 0, rows: RawJob<Float>.rows(0..<4)))
    let other = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    try job.begin(other)
    _ = try idle.wait { if case .goodbye(0, .turnEnded) = $0 { true } else { nil } }
    try idle.send(.gradient(step: 0, part: 0, values: RawJob<Float>.gradient()))
    _ = try idle.wait { if case .goodbye = $0 { true } else { nil } }
    try idle.send(.hello(software: "test"))
    try idle.send(.attach(historySteps: 0))
    _ = try idle.wait { if case .queued(1) = $0 { true } else { nil } }
    #expect(trainer.events.refusals.isEmpty)
  }

  /// Nothing but its steps keeps an idle owner's place: neither messages that are refused, nor questions, nor coming anew, be it so fast
  /// that its job is never seen but being stopped for the next connection.
  @Test(arguments: zip([false, true, true], [0.05, 0.05, 0.001]))
  func anIdleOwnerThatSpeaksLosesItsPlace(_ comesAnew: Bool, every pause: TimeInterval) throws {
    let site = try Site<Float>()
    let trainer = site.trainer(turn: .milliseconds(200))
    defer { trainer.shutDown() }
    let job = RawJob<Float>()
    var idle = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try job.begin(idle)
    try idle.send(.batch(step: 0, part: 0, rows: RawJob<Float>.rows(0..<4)))
    let other = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    let isOver = Mutex(false)
    let isDone = DispatchSemaphore(value: 0)
    Thread {
      try? other.send(.submit(job.description))
      try? job.upload(other)
      let attached = try? job.attach(other)
      isOver.withLock { $0 = attached != nil }
      isDone.signal()
    }.start()
    let deadline = ContinuousClock.now + .seconds(120)
    while !isOver.withLock({ $0 }), ContinuousClock.now < deadline {
      if comesAnew {
        idle = RawOwner<Float>(site.network, site.keys.ownerKey, job: idle.job)
        try idle.send(.attach(historySteps: 0))
      } else {
        try idle.send(.retrieve(chunk: 0))
        try idle.send(.status)
      }
      while try idle.channel.receive(timeout: .zero) != nil {}
      Thread.sleep(forTimeInterval: pause)
    }
    isDone.wait()
    #expect(isOver.withLock { $0 })
  }

  /// Masked inference cannot go on later: it runs to its end, whoever waits.
  @Test func inferenceIsNotStopped() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(turn: .milliseconds(20))
    defer { trainer.shutDown() }
    var inference = RawJob<Float>()
    inference.description.purpose = .inference
    (inference.description.trainingRows, inference.description.epochs, inference.description.stepsPerEpoch) = (0, 1, 1)
    let first = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try inference.begin(first)
    let other = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    let job = RawJob<Float>()
    try other.send(.submit(job.description))
    try job.upload(other)
    try other.send(.attach(historySteps: 0))
    Thread.sleep(forTimeInterval: 0.3)
    try first.send(.evaluate(epoch: 0, part: 0, rows: RawJob<Float>.rows(0..<4)))
    _ = try first.wait { if case .evaluated(0, 0, _) = $0 { true } else { nil } }
    try first.send(.finish)
    _ = try first.wait { if case .finished = $0 { true } else { nil } }
    _ = try other.wait { if case .attached = $0 { true } else { nil } }
    #expect(trainer.events.pauses.isEmpty)
  }

  /// An owner of a version that knows no turns is told that the trainer stops, and comes back all the same.
  @Test func ownersOfVersionsBeforeAreToldAGoodbyeTheyKnow() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(turn: Self.turn)
    defer { trainer.shutDown() }
    let job = RawJob<Float>()
    let old = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    try job.begin(old)
    try old.channel.send(OwnerMessage<Float>.ping.envelope(for: old.job).frames(version: .four))
    let other = RawOwner<Float>(site.network, try CurveKeyPair.generate().ownerKey, job: .random())
    try job.begin(other)
    _ = try old.wait { if case .goodbye(0, .stopping) = $0 { true } else { nil } }
  }
}
