import Foundation
import Foundations
import Models
import Testing

@testable import Protocol

/// Each number of a description outside its range, alone, is refused by name.
struct JobDescriptionTests {
  typealias Change = @Sendable (inout JobDescription) -> Void

  private static func optimizer(
    learningRate: Double = 0.1, momentum: Double = 0.9, weightDecay: Double = 0, clipNorm: Double? = nil
  ) -> OptimizerDescription {
    OptimizerDescription(
      kind: .sgd, learningRate: learningRate, momentum: momentum, nesterov: false, weightDecay: weightDecay,
      clipNorm: clipNorm)
  }

  private static let outOfRange: [(String, Change)] = [
    ("epochs must", { $0.epochs = 0 }),
    ("epochs must", { $0.epochs = 1_000_001 }),
    ("steps per epoch must", { $0.stepsPerEpoch = 0 }),
    ("steps per epoch must", { $0.stepsPerEpoch = .max }),
    ("batch must", { $0.batch = 0 }),
    ("batch must", { $0.batch = 1 << 20 + 1 }),
    ("micro-batch must", { $0.microBatch = 0 }),
    ("micro-batch must", { $0.microBatch = $0.batch + 1 }),
    ("checkpoint interval must", { $0.checkpointEverySteps = 0 }),
    ("training rows must", { $0.trainingRows = 0 }),
    ("training rows must", { $0.trainingRows = .max }),
    ("training rows must", { $0.trainingRows = Int(Int32.max) + 1 }),
    ("validation rows must", { $0.validationRows = -1 }),
    ("validation rows must", { $0.validationRows = .max }),
    ("learning rate must", { $0.optimizer = optimizer(learningRate: 0) }),
    ("learning rate must", { $0.optimizer = optimizer(learningRate: .nan) }),
    ("learning rate must", { $0.optimizer = optimizer(learningRate: .infinity) }),
    ("momentum must", { $0.optimizer = optimizer(momentum: -0.1) }),
    ("momentum must", { $0.optimizer = optimizer(momentum: 1) }),
    ("weight decay must", { $0.optimizer = optimizer(weightDecay: -1) }),
    ("clip norm must", { $0.optimizer = optimizer(clipNorm: 0) }),
    ("tokens must", { $0.totalTokens = 1 }),
    ("warm-up must", { $0.schedule = ScheduleDescription(warmup: -0.1, decay: .none) }),
    ("warm-up must", { $0.schedule = ScheduleDescription(warmup: 1.1, decay: .none) }),
    ("a task is stated", { $0.task = nil }),
    ("a task is stated", { $0.lossLocation = .owner }),
  ]

  private func refusal(_ description: JobDescription) -> String? {
    do {
      try description.validate()
      return nil
    } catch {
      guard case .invalidJob(let what) = error else { return nil }
      return what
    }
  }

  @Test func theFixtureIsValid() throws {
    try MessageFixtures.description.validate()
  }

  @Test(arguments: outOfRange.indices)
  func fieldOutOfRange(_ index: Int) {
    let (start, change) = Self.outOfRange[index]
    var description = MessageFixtures.description
    change(&description)
    #expect(refusal(description)?.hasPrefix(start) == true, "\(refusal(description) ?? "accepted")")
  }

  private static func privacy(_ change: (inout StepPrivacy) -> Void) -> Change {
    var privacy = MessageFixtures.privateDescription.privacy
    privacy.map { start in
      var changed = start
      change(&changed)
      privacy = changed
    }
    let changed = privacy
    return { $0.privacy = changed }
  }

  private static let privateOutOfRange: [(String, Change)] = [
    ("the clip norm of a sample must", privacy { $0.clipNorm = 0 }),
    ("the clip norm of a sample must", privacy { $0.clipNorm = .infinity }),
    ("the noise multiplier must", privacy { $0.noiseMultiplier = 0 }),
    ("the noise multiplier must", privacy { $0.noiseMultiplier = .nan }),
    ("the expected batch must", privacy { $0.expectedBatch = 0 }),
    ("steps per epoch must", privacy { $0.expectedBatch = 21 }),
    ("the expected batch must", { $0.batch = 3 }),
    (
      "steps are private only where the owner computes the loss",
      { ($0.lossLocation, $0.task) = (.trainer, .regression) }
    ),
    ("a job whose samples are clipped", { $0.optimizer = optimizer(clipNorm: 1) }),
    ("a private job keeps the last", { $0.keep = .best }),
  ]

  @Test(arguments: privateOutOfRange.indices) func privateFieldOutOfRange(_ index: Int) throws {
    try MessageFixtures.privateDescription.validate()
    let (start, change) = Self.privateOutOfRange[index]
    var description = MessageFixtures.privateDescription
    change(&description)
    #expect(refusal(description)?.hasPrefix(start) == true, "\(refusal(description) ?? "accepted")")
  }

  /// An owner of version 3 knows nothing of private steps; a trainer must not do without the noise that is asked for, either.
  @Test func privateStepsNeedTheirVersion() throws {
    let codec = MessageCodec<Float>()
    var frames = codec.frames(.submit(MessageFixtures.privateDescription), job: .none)
    frames[0][4] = 3
    #expect(throws: WireError.invalidJob("private steps need wire version 4")) { _ = try codec.ownerMessage(frames) }
    var plain = codec.frames(.submit(MessageFixtures.description), job: .none)
    plain[0][4] = 3
    #expect(try codec.ownerMessage(plain).message == .submit(MessageFixtures.description))
  }

  private static let roundOutOfRange: [(String, Change)] = [
    ("the strength of the pull must", { $0.correction = StepCorrection(proximalStrength: 0) }),
    ("the strength of the pull must", { $0.correction = StepCorrection(proximalStrength: -1, hasOffsets: true) }),
    ("the strength of the pull must", { $0.correction = StepCorrection(proximalStrength: .infinity) }),
    ("a correction pulls or adds", { $0.correction = StepCorrection() }),
    (
      "steps are corrected only where the owner computes the loss",
      { ($0.lossLocation, $0.task) = (.trainer, .regression) }
    ),
    ("steps before a schedule's part must", part(-1, 60)),
    ("steps before a schedule's part must", part(.max, .max)),
    ("steps of a schedule must", part(24, 35)),
    ("steps of a schedule must", part(24, .max)),
    ("steps of a schedule must", part(0, -1)),
  ]

  private static func part(_ firstStep: Int, _ totalSteps: Int) -> Change {
    { $0.schedule = $0.schedule.continued(SchedulePart(firstStep: firstStep, totalSteps: totalSteps)) }
  }

  /// 12 steps of its own behind 24.
  @Test(arguments: roundOutOfRange.indices) func fieldOfARoundOutOfRange(_ index: Int) throws {
    try MessageFixtures.roundDescription.validate()
    let (start, change) = Self.roundOutOfRange[index]
    var description = MessageFixtures.roundDescription
    change(&description)
    #expect(refusal(description)?.hasPrefix(start) == true, "\(refusal(description) ?? "accepted")")
  }

  /// An owner of version 4 knows neither corrections nor schedules over several jobs; a trainer must not do without what is asked for.
  @Test(arguments: [3, 4] as [UInt8]) func roundsNeedTheirVersion(_ version: UInt8) throws {
    let codec = MessageCodec<Float>()
    func refusal(_ change: (inout JobDescription) -> Void) -> WireError? {
      var description = MessageFixtures.roundDescription
      change(&description)
      var frames = codec.frames(.submit(description), job: .none)
      frames[0][4] = version
      do {
        _ = try codec.ownerMessage(frames)
        return nil
      } catch {
        return error
      }
    }
    #expect(refusal { _ in } == .correctedStepsTooEarly)
    #expect(refusal { $0.correction = nil } == .correctedStepsTooEarly)
    #expect(refusal { $0.schedule = $0.schedule.continued(nil) } == .correctedStepsTooEarly)
    #expect(refusal { ($0.schedule, $0.correction) = ($0.schedule.continued(nil), nil) } == nil)
  }

  /// As owners before version 5 wrote it, and as their stores hold it.
  @Test func aJobWithoutRoundsIsWrittenAsBefore() throws {
    let text = String(
      decoding: MessageCodec<Float>().frames(.submit(MessageFixtures.description), job: .none)[0], as: UTF8.self)
    #expect(text.contains(#""schedule":{"decay":"cosine","warmup":0.06}"#))
    #expect(!text.contains("correction") && !text.contains("part"))
  }

  @Test func uploadsHaveTheOffsetsBehindTheParameters() throws {
    let parameters = ["a", "b", "c"].map {
      ParameterSpecification(name: $0, shape: [2], rows: SpaceID("s"), columns: nil, isTrained: $0 != "b")
    }
    var description = MessageFixtures.roundDescription
    #expect(description.uploads(parameters).map(\.name) == ["a", "b", "c", "a", "c"])
    description.correction = StepCorrection(proximalStrength: 1)
    #expect(description.uploads(parameters).map(\.name) == ["a", "b", "c"])
    description.correction = nil
    #expect(description.uploads(parameters).map(\.name) == ["a", "b", "c"])
  }

  @Test func aSeedOfAnotherLengthIsRefused() {
    let codec = MessageCodec<Float>()
    var frames = codec.frames(.submit(MessageFixtures.privateDescription), job: .none)
    let text = String(decoding: frames[0], as: UTF8.self)
    #expect(text.contains("c8c9cacb"))
    for bad in ["c8c9", "zzzz"] {
      frames[0] = Data(frames[0].map { $0 })
      let header = frames[0].prefix(24)
      let json = String(decoding: frames[0].dropFirst(24), as: UTF8.self).replacing("c8c9cacb", with: bad)
      #expect(throws: WireError.self) { _ = try codec.ownerMessage([header + Data(json.utf8)]) }
    }
  }

  /// The same refusal when it arrives as a message.
  @Test func refusedOnArrival() {
    let codec = MessageCodec<Float>()
    var description = MessageFixtures.description
    description.epochs = 0
    #expect(throws: WireError.invalidJob("epochs must be 1 … 1000000, not 0")) {
      _ = try codec.ownerMessage(codec.frames(.submit(description), job: .none))
    }
  }

  /// 20 rows in batches of 6 are 4 steps, the last of 2 rows.
  @Test(arguments: [3, 5])
  func stepsThatDoNotFollowFromTheRows(_ steps: Int) {
    var description = MessageFixtures.description
    description.stepsPerEpoch = steps
    #expect(refusal(description) == "steps per epoch must be 4 for 20 rows in batches of 6, not \(steps)")
  }

  @Test func wholeBatches() throws {
    var description = MessageFixtures.description
    description.trainingRows = 24
    try description.validate()
    description.trainingRows = 25
    #expect(refusal(description) != nil)
  }

  /// Slots are `Int32`, so both kinds of rows together are bounded.
  @Test func rowsThatAreTooManyTogether() {
    var description = MessageFixtures.description
    description.validationRows = Int(Int32.max) - description.trainingRows
    #expect(refusal(description) == nil)
    description.validationRows += 1
    #expect(refusal(description)?.hasPrefix("validation rows must") == true)
  }

  @Test func theLargestNumberOfStepsDoesNotOverflow() throws {
    var description = MessageFixtures.description
    (description.epochs, description.batch, description.microBatch) = (1_000_000, 1, 1)
    (description.trainingRows, description.validationRows) = (Int(Int32.max), 0)
    description.stepsPerEpoch = Int(Int32.max)
    try description.validate()
    #expect(description.totalSteps == 1_000_000 * Int(Int32.max))
    #expect(description.totalRows == Int(Int32.max))
  }

  @Test func inferenceHasNoTraining() throws {
    var description = MessageFixtures.description
    description.purpose = .inference
    (description.lossLocation, description.task) = (.owner, nil)
    (description.epochs, description.stepsPerEpoch, description.trainingRows) = (1, 1, 0)
    try description.validate()
    for change: Change in [{ $0.epochs = 2 }, { $0.stepsPerEpoch = 2 }, { $0.trainingRows = 1 }] {
      var other = description
      change(&other)
      #expect(refusal(other) == "inference has no rows to train on, one epoch and one step")
    }
  }
}
