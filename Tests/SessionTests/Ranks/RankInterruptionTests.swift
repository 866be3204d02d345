import Collectives
import Foundation
import Foundations
import Models
import OwnerRole
import Protocol
import TestSupport
import Testing

@testable import Service
@testable import TrainerRole

/// Jobs on several ranks that their owner or the operator interrupts.
@Suite(.waiting, .timeLimit(.minutes(10))) struct RankInterruptionTests {
  private func job(_ loss: LossLocation, epochs: Int = 200) -> SmallJob {
    SmallJob().changing {
      $0.loss = loss; $0.epochs = epochs
    }
  }

  /// Does something when a step is reached, once.
  private func at(_ step: Int, _ action: @escaping () -> Void) -> (RunEvent) -> Void {
    var isDone = false
    return { event in
      guard case .progress(.step(let present, _, _, _, _), _) = event, present >= step, !isDone else { return }
      isDone = true
      action()
    }
  }

  @Test(arguments: [LossLocation.owner, .trainer]) func aJobCancelledHalfWayLeavesTheRanksFree(
    _ loss: LossLocation
  ) throws {
    let site = try Site<Float>()
    let trainer = site.trainer(ranks: 2)
    defer { trainer.shutDown() }
    let run = try site.run(job(loss))
    let other = run.connection(on: site.network)
    var isRemoved = false
    #expect(throws: OwnerError.self) {
      try run.execute(
        over: site.network.connect(site.keys.ownerKey),
        observe: at(4) {
          try? other.send(.cancel)
          isRemoved =
            (try? other.waitFor { message in
              if case .removed = message { return true }
              return nil as Bool?
            }) ?? false
        })
    }
    #expect(isRemoved)
    // The next job has the same ranks, and they nothing of the one before.
    let next = try site.run(job(loss, epochs: 3), name: "next")
    let undisturbed = try site.undisturbed(next, ranks: 2)
    try next.execute(on: site.network)
    #expect(try next.model() == undisturbed.model())
    #expect(trainer.events.finished == 1)
  }

  @Test(arguments: [LossLocation.owner, .trainer]) func anOrderlyStopHalfWayGoesOnToTheSameBits(
    _ loss: LossLocation
  ) throws {
    let site = try Site<Float>()
    let run = try site.run(job(loss))
    let undisturbed = try site.undisturbed(run, ranks: 2)
    let first = site.trainer(ranks: 2)
    let stopped = DispatchGroup()
    _ = try? run.execute(
      over: site.network.connect(site.keys.ownerKey), patience: .zero,
      observe: at(9) {
        stopped.enter()
        // Waits for the trainer's end, as this thread may not.
        Thread {
          first.shutDown()
          stopped.leave()
        }.start()
      })
    stopped.wait()
    let paused = try #require(first.events.pauses.first)
    #expect(paused >= 10 && paused < 200 * 5)
    #expect(first.events.checkpoints.last == paused)
    #expect(first.events.failures == [] && first.events.finished == 0)
    let second = site.trainer(ranks: 2)
    defer { second.shutDown() }
    try run.reopened().execute(on: site.network)
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
  }

  @Test(arguments: [LossLocation.owner, .trainer]) func anOwnerRemovedFromTheListHalfWayGoesOnWhenListedAgain(
    _ loss: LossLocation
  ) throws {
    let site = try Site<Float>()
    let listed = AuthorizedKeys([site.keys.ownerKey])
    let owners = ServedOwners(listed)
    let run = try site.run(job(loss))
    let undisturbed = try site.undisturbed(run, ranks: 2)
    let trainer = site.trainer(owners: owners, ranks: 2)
    defer { trainer.shutDown() }
    let error = #expect(throws: OwnerError.self) {
      try run.execute(
        over: site.network.connect(site.keys.ownerKey), observe: at(9) { owners.replace(with: AuthorizedKeys([])) })
    }
    #expect(error?.description.contains("not listed") == true)
    let deadline = ContinuousClock.now + .seconds(120)
    while trainer.events.pauses.isEmpty, ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.01) }
    let paused = try #require(trainer.events.pauses.first)
    #expect(paused >= 10 && paused < 200 * 5)
    owners.replace(with: listed)
    try run.reopened().execute(on: site.network)
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
  }
}

/// Messages between ranks that do not arrive as they were meant: nobody waits for what depends on them.
@Suite(.waiting, .timeLimit(.minutes(5))) struct RankMessageTests {
  /// The first messages of rank 0 are the beginning, a step and its parts; those of rank 1 are outputs or losses.
  @Test(arguments: [LossLocation.owner, .trainer], [(0, 0), (0, 1), (0, 2), (0, 9), (1, 0), (1, 4)])
  func aMessageThatARankCannotReadEndsTheTrainerAndTheJobGoesOn(
    _ loss: LossLocation, _ garbled: (rank: Int, message: Int)
  ) throws {
    let site = try Site<Float>()
    let run = try site.run(SmallJob().changing { $0.loss = loss })
    let undisturbed = try site.undisturbed(run, ranks: 2)
    let first = site.trainer(ranks: 2, garbling: garbled)
    _ = try? run.execute(over: site.network.connect(site.keys.ownerKey), patience: .zero)
    // Far longer than the job takes.
    #expect(first.endsByItself(within: 60))
    #expect(first.failure == .misunderstood(rank: garbled.rank))
    #expect(first.events.failures == [])
    let second = site.trainer(ranks: 2)
    defer { second.shutDown() }
    if try run.reopened().state.phase != .finished { try run.reopened().execute(on: site.network) }
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
  }

  @Test func aCommandThatIsForRank0AloneIsNotLostOnItsWayToAnother() {
    let ranks = ThreadCommunicator.group(of: 2)
    let replicas = DistributedReplicas<Float>(ranks[0], inputWidth: 4)
    replicas.send(.order(.save), to: 1)
    #expect(ranks[0].failure == .unsendable(rank: 1))
    #expect(ranks[0].failure?.kind == .defect)
  }

  @Test(arguments: [[-1], [Int.max, 1]]) func aStepOfImpossiblePartsIsNoCommand(_ parts: [Int]) {
    var packet = ReplicaPacket<Float>(kind: 2)
    packet.numbers = [0] + parts
    #expect(ReplicaCommand(packet) == nil)
    packet.numbers = [0, 3, 2]
    #expect(ReplicaCommand(packet) != nil)
  }
}
