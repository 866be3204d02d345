import Models
import Foundations
import Foundation
import Numerics
import Testing
import TestSupport
import Training
import Protocol

/// Sequences uploaded once, for a loss that the trainer computes.
@Suite(.waiting, .timeLimit(.minutes(10))) struct SequenceUploadTests {
  typealias Job = SequenceJob

  private let stage: SequenceStage
  private let job = Job().changing { $0.loss = .trainer }
  private let perToken = Job().changing {
    $0.loss = .trainer; $0.pooling = .none
  }

  init() throws {
    stage = try SequenceStage()
  }

  private func submitted(_ job: Job, _ owner: RawOwner<Float>) throws -> (rows: Int, steps: Int) {
    try owner.send(.submit(job.description))
    return try owner.wait { message in
      if case .accepted(_, let rows, let steps) = message { return (rows, steps) }
      return nil
    }
  }

  private func samples(_ slots: Range<Int>, first: Int? = nil) -> OwnerMessage<Float> {
    .storeSequences(
      firstSlot: first ?? slots.lowerBound, lengths: Job.vector(Job.lengths(slots)),
      pooled: Job.vector(Job.pooled(slots)), values: Job.tokens(slots))
  }

  private func stored(_ message: OwnerMessage<Float>, _ owner: RawOwner<Float>) throws -> Int {
    try owner.send(message)
    return try owner.wait { message in
      if case .stored(let count) = message { return count }
      return nil
    }
  }

  private func labels(_ job: Job, _ owner: RawOwner<Float>) throws {
    let labels = job.labels(0..<13)
    #expect(
      try stored(.storeTargets(firstSlot: 0, targets: .classes(Job.vector(labels))), owner) == labels.count)
  }

  private func plan(_ owner: RawOwner<Float>) throws {
    let slots = (0..<4).flatMap { step in (Job.batch(step: step) + [-1, -1]).prefix(6).map { Int32($0) } }
    #expect(try stored(.storePlan(firstStep: 0, slots: Tensor(slots, shape: [4, 6])), owner) == 4)
  }

  private func start(_ owner: RawOwner<Float>) throws {
    try owner.send(.start)
    _ = try owner.wait { message in
      if case .status = message { return true }
      return nil as Bool?
    }
  }

  private func awaitEnd(_ owner: RawOwner<Float>) throws {
    let deadline = ContinuousClock().now + .seconds(120)
    while ContinuousClock().now < deadline {
      try owner.send(.status)
      let state = try owner.wait { message in
        if case .status(let status) = message { return status.state }
        return nil as JobState?
      }
      if state == .finished { return }
      Thread.sleep(forTimeInterval: 0.02)
    }
    throw SilentTrainer()
  }

  private func expectEngineBits(_ job: Job, _ owner: RawOwner<Float>) throws {
    let engine = try job.engine()
    for _ in 0..<4 { try job.step(engine) }
    #expect(try job.retrieve(owner) == job.trainedParameters(engine))
  }

  @Test(arguments: [false, true]) func aRunHasTheBitsOfTheEngineAlone(_ isPerToken: Bool) throws {
    let job = isPerToken ? perToken : job
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = stage.owner()
    _ = try submitted(job, owner)
    try job.upload(owner)
    #expect(try stored(samples(0..<7), owner) == 7)
    #expect(try stored(samples(7..<13), owner) == 13)
    try labels(job, owner)
    try plan(owner)
    try start(owner)
    try awaitEnd(owner)
    try expectEngineBits(job, owner)
    #expect(stage.size("rows.bin") == 37 * Job.width * 4)
    #expect(stage.size("lengths.bin") == 13 * 2 * 4)
    #expect(stage.size("targets.bin") == (isPerToken ? 37 : 13) * 4)
  }

  /// The upload goes on after a break where a sample ends, and what is stored is not sent again.
  @Test func anUploadGoesOnAtASamplesEnd() throws {
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let first = stage.owner()
    _ = try submitted(perToken, first)
    #expect(try stored(samples(0..<5), first) == 5)
    #expect(
      try stored(.storeTargets(firstSlot: 0, targets: .classes(Job.vector(Array(perToken.labels(0..<5))))), first) > 5)
    let second = stage.owner()
    // Samples count; labels, which are small, are sent again.
    #expect(try submitted(perToken, second) == (5, 0))
    #expect(try second.refusal(of: samples(4..<6)).reason.contains("rows from slot 4 where 5 is due"))
    try perToken.upload(second)
    #expect(try stored(samples(5..<13), second) == 13)
    try labels(perToken, second)
    try plan(second)
    try start(second)
    try awaitEnd(second)
    try expectEngineBits(perToken, second)
  }

  /// A trainer that has been told to start the job. Nothing of it is done while another owner's is first in line, so that all is left for a restart.
  private func startedBehindAnother() throws -> TrainerHost<Float> {
    let trainer = stage.trainer()
    let other = RawOwner<Float>(stage.network, try CurveKeyPair.generate().ownerKey, job: .random())
    try RawJob<Float>().begin(other)
    let owner = stage.owner()
    _ = try submitted(job, owner)
    try job.upload(owner)
    _ = try stored(samples(0..<13), owner)
    try labels(job, owner)
    try plan(owner)
    try start(owner)
    return trainer
  }

  /// What a run reads after a restart is what was made durable when it was started.
  @Test func aRestartedTrainerKnowsTheSamples() throws {
    try startedBehindAnother().shutDown()
    let second = stage.trainer()
    defer { second.shutDown() }
    let back = stage.owner()
    try awaitEnd(back)
    try expectEngineBits(job, back)
  }

  @Test(arguments: ["cut off", "too long", "too short", "pooled outside"])
  func damagedLengthsAreRefused(_ damage: String) throws {
    try startedBehindAnother().shutDown()
    let file = stage.folder.appending(path: "lengths.bin")
    var bytes = try Data(contentsOf: file)
    switch damage {
    case "cut off": bytes.removeLast(8)
    case "too long": bytes[8] = 6
    case "too short": bytes[8] = 1
    default: bytes[12] = 5
    }
    try bytes.write(to: file)
    let second = stage.trainer()
    defer { second.shutDown() }
    let back = stage.owner()
    let deadline = ContinuousClock().now + .seconds(120)
    while second.events.failures.isEmpty, ContinuousClock().now < deadline { Thread.sleep(forTimeInterval: 0.02) }
    let reason = try #require(second.events.failures.first)
    #expect(reason.contains(damage == "cut off" ? "made for another job, or damaged" : "stored lengths"))
    try back.send(.cancel)
  }

  // MARK: - Refusals

  private func refusal(_ job: Job? = nil, after slots: Range<Int> = 0..<0, of message: OwnerMessage<Float>) throws
    -> String
  {
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = stage.owner()
    _ = try submitted(job ?? self.job, owner)
    if !slots.isEmpty { _ = try stored(samples(slots), owner) }
    let refusal = try owner.refusal(of: message)
    #expect(refusal.kind == .refused)
    // Nothing of it was taken.
    #expect(try stored(samples(slots.upperBound..<slots.upperBound + 1), owner) == slots.upperBound + 1)
    return refusal.reason
  }

  private func sequences(
    first: Int = 0, lengths: [Int32], pooled: [Int32]? = nil, width: Int = Job.width, value: Float = 0
  ) -> OwnerMessage<Float> {
    .storeSequences(
      firstSlot: first, lengths: Job.vector(lengths), pooled: Job.vector(pooled ?? lengths.map { _ in 0 }),
      values: Tensor(repeating: value, shape: [lengths.reduce(0) { $0 + Int($1) }, width]))
  }

  @Test func samplesOutOfOrder() throws {
    #expect(try refusal(of: samples(1..<2)).contains("rows from slot 1 where 0 is due"))
    #expect(try refusal(after: 0..<2, of: samples(1..<2)).contains("rows from slot 1 where 2 is due"))
  }

  @Test func moreSamplesThanTheJobHas() throws {
    #expect(try refusal(of: sequences(lengths: Array(repeating: 1, count: 14))).contains("where 0 is due"))
  }

  @Test func aSampleThatIsTooLong() throws {
    #expect(try refusal(of: sequences(lengths: [1, 6])).contains("sample of 6 exceeds the limit of 5"))
  }

  @Test func moreTokensThanTheJobStated() throws {
    #expect(
      try refusal(of: sequences(lengths: Array(repeating: 5, count: 8))).contains(
        "8 samples of 40 tokens, the job has 13 of 37"))
  }

  @Test func fewerTokensThanTheJobStated() throws {
    #expect(
      try refusal(of: sequences(lengths: Array(repeating: 2, count: 13))).contains(
        "13 samples of 26 tokens, the job has 13 of 37"))
  }

  @Test func tokensOfAnotherWidth() throws {
    #expect(try refusal(of: sequences(lengths: [2], width: 7)).contains("tokens are 7 wide, not 8"))
  }

  @Test(arguments: [Float.nan, .infinity]) func aTokenThatIsNotFinite(_ value: Float) throws {
    #expect(try refusal(of: sequences(lengths: [2], value: value)).contains("a masked token holds NaN or infinity"))
  }

  @Test func aPooledTokenOutsideItsSample() throws {
    #expect(try refusal(of: sequences(lengths: [2], pooled: [2])).contains("a pooled token outside its sample"))
  }

  @Test func rowsWithoutLengths() throws {
    #expect(
      try refusal(of: .storeRows(firstSlot: 0, values: Tensor(zeros: [2, Job.width]))).contains("without their lengths")
    )
  }

  @Test func sequencesForAModelOfRows() throws {
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = stage.owner()
    var description = RawJob<Float>().description
    description.lossLocation = .trainer
    description.task = .classification
    try owner.send(.submit(description))
    #expect(
      try owner.refusal(of: sequences(lengths: [1], width: 5)).reason.contains("for a model of rows"))
  }

  @Test func startBeforeAllSamplesAreThere() throws {
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = stage.owner()
    _ = try submitted(job, owner)
    try job.upload(owner)
    _ = try stored(samples(0..<12), owner)
    try labels(job, owner)
    try plan(owner)
    #expect(try owner.refusal(of: .start).reason.contains("before everything is uploaded"))
  }

  @Test(arguments: [false, true]) func moreLabelsThanSamplesOrTokens(_ isPerToken: Bool) throws {
    let ids = Job.vector(Array(repeating: 0, count: isPerToken ? 38 : 14))
    let job = isPerToken ? perToken : job
    #expect(try refusal(job, of: .storeTargets(firstSlot: 0, targets: .classes(ids))).contains("where 0 is due"))
  }

  @Test func aNegativeLabelIsForTokensAlone() throws {
    let ids = Job.vector([-1])
    #expect(
      try refusal(of: .storeTargets(firstSlot: 0, targets: .classes(ids))).contains("a class label outside 0 ..< 3"))
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    let owner = RawOwner<Float>(stage.network, stage.keys.ownerKey, job: .random())
    _ = try submitted(perToken, owner)
    #expect(try stored(.storeTargets(firstSlot: 0, targets: .classes(ids)), owner) == 1)
    #expect(
      try owner.refusal(of: .storeTargets(firstSlot: 1, targets: .classes(Job.vector([3])))).reason.contains(
        "a class label outside 0 ..< 3"))
  }
}
