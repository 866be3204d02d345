import Models
import Collectives
import Foundations
import Foundation
import Numerics
import Testing
import TestSupport
import Training
import Protocol

@testable import Service
@testable import TrainerRole

/// What rank 0 holds of a job that several ranks work on.
@Suite(.waiting, .timeLimit(.minutes(5))) struct CoordinationTests {
  /// A network so wide that a replica takes far longer for an evaluation than it takes to send one.
  private static func wideJob() -> RawJob<Float> {
    var job = RawJob<Float>()
    job.description.graph = .perceptron(features: 4, hidden: [Int](repeating: 1000, count: 8))
    return job
  }

  @Test func moreEvaluationsThanTheWindow() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(ranks: 1)
    defer { trainer.shutDown() }
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    let job = Self.wideJob()
    try owner.send(.submit(job.description))
    try job.upload(owner)
    let window = try job.attach(owner).window
    // Three windows are less than what may wait for any runner, whatever it is: that limit is not the one that is met.
    for part in 0..<(3 * window) { try owner.send(.evaluate(epoch: 0, part: part, rows: RawJob<Float>.rows(20..<25))) }
    #expect(try owner.refusal().reason.contains("more evaluations than the window of \(window)"))
  }

  /// One at a time, and one answered before the next: as many as one likes.
  @Test func evaluationsWithinTheWindowAreAllAnswered() throws {
    let site = try Site<Float>()
    let trainer = site.trainer(ranks: 2)
    defer { trainer.shutDown() }
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    let job = RawJob<Float>()
    try owner.send(.submit(job.description))
    try job.upload(owner)
    let window = try job.attach(owner).window
    for part in 0..<(3 * window) {
      try owner.send(.evaluate(epoch: 0, part: part, rows: RawJob<Float>.rows(20..<25)))
      guard part >= window - 1 else { continue }
      let answered = try owner.wait { message in
        if case .evaluated(0, let part, _) = message { return part }
        return nil as Int?
      }
      #expect(answered == part - window + 1)
    }
  }

  @Test func moreToSaveThanCanBeWaitedFor() {
    let mailbox = ReplicaMailbox<Float>()
    for _ in 0..<ReplicaMailbox<Float>.largestOrders {
      #expect(mailbox.hasRoom)
      mailbox.post(.order(.save))
    }
    #expect(!mailbox.hasRoom)
    // Taken is not carried out.
    let taken = mailbox.take(waiting: false)
    #expect(!mailbox.hasRoom)
    taken.first.map { mailbox.finish($0) }
    #expect(mailbox.hasRoom)
    // What the window bounds is no matter of this limit.
    mailbox.post(.step(0, parts: [1]))
    #expect(mailbox.hasRoom)
  }

  /// A checkpoint after each step, while which the other rank tells that it took the step, too.
  @Test func stepsThatOtherRanksTellOfDuringACheckpointAreCounted() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    try RawJob<Float>().begin(RawOwner(site.network, site.keys.ownerKey, job: .random()))
    trainer.shutDown()
    let store = try TrainingStore(store: trainer.store)
    let communicator = ThreadCommunicator.group(of: 2)[0]
    let context = try RunnerContext<Float>(
      job: #require(try store.load().jobs.first),
      configuration: TrainerConfiguration(
        service: ServiceConfiguration(store: trainer.store), compute: Compute(threads: 1), memoryLimit: 1 << 30,
        rowStoreLimit: 1 << 24, software: "test", communicator: communicator),
      store: store, outbox: TrainerOutbox(wake: {}), historySteps: 0)
    let inbox = Inbox<Float>(capacity: 8)
    var coordination = Coordination(
      context: context, inbox: inbox,
      replicas: DistributedReplicas(communicator, inputWidth: context.engine.model.inputWidth))
    for step in 0..<3 {
      let report = StepReport(step: step, gradientNorm: 1, learningRate: 1)
      coordination.count(report, waited: 0.5)
      inbox.post(.applied(report, waited: 0.25), from: 1)
      inbox.post(.saved(step: step + 1), from: 0)
      try coordination.save()
    }
    #expect(coordination.meter.waiting.isEmpty)
    #expect(coordination.meter.steps == 3)
  }
}
