import Models
import Files
import Foundation
import Foundations
import Numerics
import Testing
import TestSupport
import Training
import Protocol

@testable import Service
@testable import TrainerRole

/// The order in which a trainer of one process works, where the loop and its only replica share a thread.
@Suite(.waiting, .timeLimit(.minutes(5))) struct LocalReplicaTests {
  /// Notes what the replica is asked, and what was sent to the owner before.
  private final class ObservedReplica: Replicas {
    private let replica: LocalReplica<Float>
    private let outbox: TrainerOutbox<Float>
    private let afterTraining: () -> Void
    private(set) var journal: [String] = []

    init(
      _ context: RunnerContext<Float>, inbox: Inbox<Float>, outbox: TrainerOutbox<Float>,
      afterTraining: @escaping () -> Void = {}
    ) throws {
      replica = try LocalReplica(context, inbox: inbox)
      self.outbox = outbox
      self.afterTraining = afterTraining
    }

    var size: Int { replica.size }
    var isImmediate: Bool { replica.isImmediate }
    var hasRoom: Bool { replica.hasRoom }

    func note(_ line: String? = nil) {
      for item in outbox.takeAll() {
        switch item {
        case .send(_, .outputs(let step, let part, _)): journal.append("sent outputs \(step).\(part)")
        case .send(_, .stepApplied(let step, _, _)): journal.append("sent applied \(step)")
        case .send(_, .checkpointed(let step)): journal.append("sent checkpointed \(step)")
        default: break
        }
      }
      line.map { journal.append($0) }
    }

    func begin(step: Int, samples: [[Int]]) throws {
      note("begin \(step)")
      try replica.begin(step: step, samples: samples)
    }

    func forward(part: Int, _ extent: PartExtent, on rank: Int, filling: InputFilling<Float>) throws {
      note("forward \(part)")
      try replica.forward(part: part, extent, on: rank, filling: filling)
    }

    func backward(part: Int, _ gradient: Tensor<Float>, on rank: Int) throws {
      note("backward \(part)")
      try replica.backward(part: part, gradient, on: rank)
    }

    func train(
      part: Int, _ extent: PartExtent, _ targets: Targets<Float>, normalizer: Double, on rank: Int,
      filling: InputFilling<Float>
    ) throws {
      note("train \(part)")
      try replica.train(part: part, extent, targets, normalizer: normalizer, on: rank, filling: filling)
      afterTraining()
    }

    func infer(_ number: Int, _ extent: PartExtent, on rank: Int, filling: InputFilling<Float>) throws {
      note("infer \(number)")
      try replica.infer(number, extent, on: rank, filling: filling)
    }

    func order(_ order: StoreOrder) throws {
      note("\(order)")
      try replica.order(order)
    }

    func abandon(others: Bool) {
      note("abandon")
      replica.abandon(others: others)
    }
  }

  /// A job whose upload is complete, and whom to tell of it.
  private struct Stage {
    /// Its directory lasts as long.
    let site: Site<Float>
    let context: RunnerContext<Float>
    let inbox = Inbox<Float>(capacity: 64)
    let outbox: TrainerOutbox<Float>

    init(_ site: Site<Float>, upload: (RawOwner<Float>) throws -> Void) throws {
      self.site = site
      let trainer = site.trainer()
      try upload(RawOwner(site.network, site.keys.ownerKey, job: .random()))
      trainer.shutDown()
      let store = try TrainingStore(store: trainer.store)
      outbox = TrainerOutbox(wake: {})
      context = try RunnerContext<Float>(
        job: #require(try store.load().jobs.first),
        configuration: TrainerConfiguration(
          service: ServiceConfiguration(store: trainer.store), compute: Compute(threads: 1), memoryLimit: 1 << 30,
          rowStoreLimit: 1 << 24, software: "test"),
        store: store, outbox: outbox, historySteps: 0)
    }

    func run(_ replica: ObservedReplica) throws -> RunnerOutcome {
      let outcome = try Coordination(context: context, inbox: inbox, replicas: replica).loop(context)()
      replica.note()
      return outcome
    }
  }

  /// Steps of two parts, all messages there from the start, a checkpoint after two steps: the next step's inputs wait, and each
  /// part's outputs leave before the next part is worked on.
  @Test func eachPartsOutputsLeaveBeforeTheNextPartIsWorkedOn() throws {
    let stage = try Stage(Site<Float>()) { try RawJob<Float>().begin($0) }
    for message in try Self.twoSteps { #expect(stage.inbox.post(message)) }
    let replica = try ObservedReplica(stage.context, inbox: stage.inbox, outbox: stage.outbox)
    guard case .paused(2, "its owner left") = try stage.run(replica) else {
      Issue.record("the owner left after two steps")
      return
    }
    #expect(
      replica.journal == [
        "begin 0", "forward 0", "sent outputs 0.0", "forward 1", "sent outputs 0.1", "backward 0", "backward 1",
        "sent applied 0", "begin 1", "forward 0", "sent outputs 1.0", "forward 1", "sent outputs 1.1", "backward 0",
        "backward 1", "sent applied 1", "save", "sent checkpointed 2", "abandon", "save",
      ])
  }

  /// Inputs of both steps come before the first gradient.
  private static var twoSteps: [OwnerMessage<Float>] {
    get throws {
      let parts = (0..<4).map { number in
        OwnerMessage.batch(step: number / 2, part: number % 2, rows: RawJob<Float>.rows(4 * number..<4 * number + 4))
      }
      let gradients = (0..<4).map { number in
        OwnerMessage.gradient(step: number / 2, part: number % 2, values: RawJob<Float>.gradient())
      }
      return parts + gradients + [.leave]
    }
  }

  /// The trainer is told to stop in the middle of a step, by itself and with no message to wait for: the step is taken, saved and
  /// the last.
  @Test func aStopEndsTrainingWithoutAnOwnerAfterTheStepUnderWay() throws {
    let stage = try Stage(Site<Float>()) { try Self.upload($0) }
    let inbox = stage.inbox
    let replica = try ObservedReplica(stage.context, inbox: inbox, outbox: stage.outbox) { inbox.stop(.shutdown) }
    guard case .paused(1, "the trainer stops") = try stage.run(replica) else {
      Issue.record("it did not stop after a step")
      return
    }
    #expect(replica.journal == ["begin 0", "train 0", "train 1", "abandon", "save"])
    #expect(try stage.context.checkpoints.files.steps().contains(1))
  }

  /// An upload that is complete but for its start, so that nothing runs yet.
  private static func upload(_ owner: RawOwner<Float>) throws {
    var job = RawJob<Float>()
    (job.description.lossLocation, job.description.task) = (.trainer, .classification)
    try owner.send(.submit(job.description))
    try job.upload(owner)
    try owner.send(
      .storeRows(firstSlot: 0, values: Tensor(repeating: 0.5, shape: [25, RawJob<Float>.width])))
    try owner.send(.storeTargets(firstSlot: 0, targets: .classes(Tensor(repeating: 1, shape: [25]))))
    let batches = (0..<6).flatMap { step in (0..<8).map { Int32((8 * step + $0) % 20) } }
    try owner.send(.storePlan(firstStep: 0, slots: Tensor(batches, shape: [6, 8])))
    for _ in 0..<3 {
      _ = try owner.wait { message in
        if case .stored = message { return true }
        return nil as Bool?
      }
    }
  }
}
