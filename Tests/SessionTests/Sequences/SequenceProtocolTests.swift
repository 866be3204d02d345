import Models
import Foundations
import Foundation
import Numerics
import Testing
import TestSupport
import Training
import Protocol

/// Sequences part by part, with the loss at the owner.
@Suite(.waiting, .timeLimit(.minutes(10))) struct SequenceProtocolTests {
  typealias Job = SequenceJob

  private struct Session {
    let stage: SequenceStage
    let trainer: TrainerHost<Float>
    let owner: RawOwner<Float>
  }

  private func attached(_ job: Job = Job()) throws -> Session {
    let stage = try SequenceStage()
    let session = Session(stage: stage, trainer: stage.trainer(), owner: stage.owner())
    try job.begin(session.owner)
    return session
  }

  @Test(arguments: [false, true], [TokenPooling.cls, .none])
  func stepsHaveTheBitsOfTheEngineAlone(_ recomputes: Bool, _ pooling: TokenPooling) throws {
    let job = Job().changing {
      $0.recomputes = recomputes; $0.pooling = pooling
    }
    let session = try attached(job)
    defer { session.trainer.shutDown() }
    let owner = session.owner
    let engine = try job.engine()
    for step in 0..<4 {
      try job.step(owner, step)
      try job.step(engine)
    }
    try owner.send(.finish)
    _ = try owner.wait { message in
      if case .finished = message { return true }
      return nil as Bool?
    }
    #expect(try job.retrieve(owner) == job.trainedParameters(engine))
  }

  /// While a part's outputs travel, another one is worked on; a third waits for memory.
  @Test func twoPartsAreInFlightAndAThirdWaits() throws {
    let session = try attached()
    defer { session.trainer.shutDown() }
    let owner = session.owner
    for (number, slots) in Job.parts(step: 0).enumerated() {
      try owner.send(.batch(step: 0, part: number, rows: Job.delivery(slots)))
    }
    let first = try Job.outputs(owner, step: 0, part: 0)
    let second = try Job.outputs(owner, step: 0, part: 1)
    // Messages are worked on in order: had the third gone forward, its outputs would come before the answer to this.
    try owner.send(.save)
    _ = try owner.wait { message in
      if case .outputs(_, let part, _) = message { Issue.record("outputs of part \(part)") }
      if case .checkpointed(0) = message { return true }
      return nil as Bool?
    }
    try owner.send(.gradient(step: 0, part: 0, values: Job.gradient(first)))
    let third = try Job.outputs(owner, step: 0, part: 2)
    try owner.send(.gradient(step: 0, part: 1, values: Job.gradient(second)))
    try owner.send(.gradient(step: 0, part: 2, values: Job.gradient(third)))
    _ = try owner.wait { message in
      if case .stepApplied(0, _, _) = message { return true }
      return nil as Bool?
    }
  }

  @Test func theNextStepsInputsWaitAtTheTrainer() throws {
    let session = try attached()
    defer { session.trainer.shutDown() }
    let owner = session.owner
    let job = Job()
    for (number, slots) in Job.parts(step: 0).enumerated() {
      try owner.send(.batch(step: 0, part: number, rows: Job.delivery(slots)))
    }
    var outputs = [try Job.outputs(owner, step: 0, part: 0), try Job.outputs(owner, step: 0, part: 1)]
    try owner.send(.batch(step: 1, part: 0, rows: Job.delivery(Job.parts(step: 1)[0])))
    try owner.send(.gradient(step: 0, part: 0, values: Job.gradient(outputs[0])))
    outputs.append(try Job.outputs(owner, step: 0, part: 2))
    for part in 1...2 { try owner.send(.gradient(step: 0, part: part, values: Job.gradient(outputs[part]))) }
    let engine = try job.engine()
    try job.step(engine)
    try engine.beginBatch(rows: 4)
    #expect(
      try Job.outputs(owner, step: 1, part: 0) == Job.forward(engine, Job.parts(step: 1)[0], rows: 0..<2))
  }

  @Test func aRunGoesOnFromItsCheckpointWithTheSameBits() throws {
    let job = Job().changing {
      $0.trained = .lora(LowRankAdaptation(rank: 2, alpha: 2, targets: ["query"]))
    }
    let session = try attached(job)
    try job.step(session.owner, 0)
    try session.owner.send(.leave)
    session.trainer.shutDown()
    let second = session.stage.trainer()
    defer { second.shutDown() }
    let back = session.stage.owner()
    #expect(try job.attach(back, historySteps: 1).step == 1)
    for step in 1..<4 { try job.step(back, step) }
    try back.send(.finish)
    _ = try back.wait { message in
      if case .finished = message { return true }
      return nil as Bool?
    }
    let engine = try job.engine()
    for _ in 0..<4 { try job.step(engine) }
    #expect(try job.retrieve(back) == job.trainedParameters(engine))
  }

  @Test func evaluationsAreMicroBatches() throws {
    let session = try attached()
    defer { session.trainer.shutDown() }
    let owner = session.owner
    try owner.send(.evaluate(epoch: 0, part: 0, rows: Job.delivery([10, 11])))
    let outputs = try owner.wait { message in
      if case .evaluated(0, 0, let values) = message { return values }
      return nil as Tensor<Float>?
    }
    let engine = try Job().engine()
    #expect(
      try outputs
        == engine.infer(rows: 2, sequences: Job.layout([10, 11])) {
          _ = $0.update(fromContentsOf: Job.tokens([10, 11]).elements)
        })
    let refusal = try owner.refusal(of: .evaluate(epoch: 0, part: 1, rows: Job.delivery([10, 11, 12])))
    #expect(refusal.reason.contains("evaluation micro-batch of 3 exceeds the limit of 2"))
  }

  @Test func inferenceJobsTakeSequences() throws {
    let job = Job().changing { $0.purpose = .inference }
    let session = try attached(job)
    defer { session.trainer.shutDown() }
    let owner = session.owner
    try owner.send(.evaluate(epoch: 0, part: 0, rows: Job.delivery([0, 2])))
    let outputs = try owner.wait { message in
      if case .evaluated(0, 0, let values) = message { return values }
      return nil as Tensor<Float>?
    }
    #expect(outputs.shape == [2, 3])
    let refusal = try owner.refusal(of: .batch(step: 0, part: 0, rows: Job.delivery([0, 1])))
    #expect(refusal.reason.contains("a batch for masked inference"))
  }

  @Test func theWindowForSequencesIsSmallAndNothingIsResident() throws {
    let stage = try SequenceStage()
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = stage.owner()
    try owner.send(.submit(Job().description))
    try Job().upload(owner)
    let granted = try Job().attach(owner)
    #expect(granted.resident == 0)
    // 64 MiB hold more micro-batches of 320 bytes than any window.
    #expect(granted.window == 32)
  }

  @Test func moreMessagesThanTheWindow() throws {
    let session = try attached()
    defer { session.trainer.shutDown() }
    let owner = session.owner
    // Two parts go forward; 32 may wait, whatever step they are of.
    for number in 0..<35 {
      try owner.send(.batch(step: number / 3, part: number % 3, rows: Job.delivery([0, 1])))
    }
    #expect(try owner.refusal().reason.contains("window"))
  }

  // MARK: - Refusals

  private func refusal(_ rows: RowDelivery<Float>) throws -> String {
    let session = try attached()
    defer { session.trainer.shutDown() }
    let owner = session.owner
    let refusal = try owner.refusal(of: .batch(step: 0, part: 0, rows: rows))
    #expect(refusal.kind == .refused)
    // The job goes on from its checkpoint.
    try owner.send(.submit(Job().description))
    try Job().attach(owner)
    try Job().step(owner, 0)
    return refusal.reason
  }

  private func delivery(
    lengths: [Int32] = [2, 1], pooled: [Int32] = [0, 0], slots: [Int32] = [0, 1], width: Int = Job.width,
    value: Float = 0.5
  ) -> RowDelivery<Float> {
    RowDelivery(
      slots: Job.vector(slots), lengths: Job.vector(lengths), pooled: Job.vector(pooled),
      values: Tensor(repeating: value, shape: [lengths.reduce(0) { $0 + Int($1) }, width]))
  }

  @Test func rowsWithoutLengthsForAModelOfSequences() throws {
    #expect(try refusal(RawJob.rows(0..<2, width: 8)).contains("samples of several tokens without their lengths"))
  }

  @Test func aSampleLongerThanTheModelTakes() throws {
    #expect(try refusal(delivery(lengths: [6, 1])).contains("sample of 6 exceeds the limit of 5"))
  }

  @Test func tokensOfAnotherWidth() throws {
    #expect(try refusal(delivery(width: 9)).contains("tokens are 9 wide, the job's input is 8"))
  }

  @Test(arguments: [Float.nan, .infinity]) func aTokenThatIsNotFinite(_ value: Float) throws {
    #expect(try refusal(delivery(value: value)).contains("a masked token holds NaN or infinity"))
  }

  @Test func aSlotOutsideTheJob() throws {
    #expect(try refusal(delivery(slots: [0, 13])).contains("slot 13 of 13"))
    #expect(try refusal(delivery(slots: [-1, 0])).contains("slot -1 of 13"))
  }

  @Test func aPartOfAnotherSize() throws {
    #expect(
      try refusal(delivery(lengths: [1, 1, 1], pooled: [0, 0, 0], slots: [0, 1, 2])).contains(
        "has 3 rows where 2 are due"))
  }

  @Test func aPooledTokenOutsideItsSample() throws {
    #expect(try refusal(delivery(pooled: [2, 0])).contains("a pooled token outside its sample"))
  }

  @Test func lengthsForAModelOfRows() throws {
    let stage = try SequenceStage()
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = stage.owner()
    try RawJob<Float>().begin(owner)
    let rows = RowDelivery<Float>(
      slots: Job.vector([0, 1, 2, 3]), lengths: Job.vector([1, 1, 1, 1]), pooled: Job.vector([0, 0, 0, 0]),
      values: Tensor(repeating: 0.5, shape: [4, 5]))
    #expect(
      try owner.refusal(of: .batch(step: 0, part: 0, rows: rows)).reason.contains(
        "samples of several tokens for a model of rows"))
  }
}
