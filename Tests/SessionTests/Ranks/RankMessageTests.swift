import Models
import Collectives
import Foundations
import Foundation
import OwnerRole
import Testing
import TestSupport
import Protocol

@testable import TrainerRole

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
