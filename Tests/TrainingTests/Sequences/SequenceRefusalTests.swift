import Models
import Numerics
import Testing

@testable import Training

/// What the engine refuses of batches of sequences, and that the step goes on or can be taken again after it.
@Suite struct SequenceRefusalTests {
  typealias Harness = SequenceHarness

  private func begun(_ harness: Harness = Harness()) throws -> TrainingEngine<Float> {
    let engine = try harness.engine(Float.self)
    try engine.beginBatch(rows: 12)
    return engine
  }

  @Test func aThirdPartInFlightIsRefused() throws {
    let engine = try begun()
    #expect(engine.hasRoom)
    let first = try Harness.forward(engine, 0..<4)
    #expect(engine.hasRoom)
    let second = try Harness.forward(engine, 4..<8)
    #expect(!engine.hasRoom)
    #expect(throws: TrainingError.partsInFlight(limit: 2)) { try Harness.forward(engine, 8..<12) }
    try engine.setOutputGradient(Harness.gradient(first), rows: 0..<4)
    #expect(engine.hasRoom)
    let third = try Harness.forward(engine, 8..<12)
    try engine.setOutputGradient(Harness.gradient(second), rows: 4..<8)
    try engine.setOutputGradient(Harness.gradient(third), rows: 8..<12)
    _ = try engine.finishStep()
    let undisturbed = try Harness().engine(Float.self)
    try Harness.step(undisturbed, part: 4)
    #expect(EngineHarness.bits(engine) == EngineHarness.bits(undisturbed))
  }

  @Test func aBatchOfOnePartHasRoomForOne() throws {
    let engine = try Harness().engine(Float.self, partRows: nil)
    try engine.beginBatch(rows: 12)
    _ = try Harness.forward(engine, 0..<6)
    #expect(!engine.hasRoom)
    #expect(throws: TrainingError.partsInFlight(limit: 1)) { try Harness.forward(engine, 6..<12) }
  }

  @Test func partsOutOfOrderAreRefused() throws {
    let engine = try begun()
    #expect(throws: TrainingError.partOrder(rows: 4..<8, due: 0)) { try Harness.forward(engine, 4..<8) }
    let first = try Harness.forward(engine, 0..<4)
    #expect(throws: TrainingError.partOrder(rows: 0..<4, due: 4)) { try Harness.forward(engine, 0..<4) }
    let second = try Harness.forward(engine, 4..<8)
    #expect(throws: TrainingError.partOrder(rows: 4..<8, due: 0)) {
      try engine.setOutputGradient(Harness.gradient(second), rows: 4..<8)
    }
    #expect(throws: TrainingError.partOrder(rows: 0..<3, due: 0)) {
      try engine.setOutputGradient(Tensor(zeros: [3, 3]), rows: 0..<3)
    }
    try engine.setOutputGradient(Harness.gradient(first), rows: 0..<4)
    // A gradient comes once.
    #expect(throws: TrainingError.partOrder(rows: 0..<4, due: 4)) {
      try engine.setOutputGradient(Harness.gradient(first), rows: 0..<4)
    }
  }

  @Test func aPartLargerThanStatedIsRefused() throws {
    let engine = try begun()
    #expect(throws: TrainingError.partRows(rows: 5, capacity: 4)) { try Harness.forward(engine, 0..<5) }
  }

  @Test func aStepWithPartsMissingIsRefused() throws {
    let engine = try begun()
    let outputs = try Harness.forward(engine, 0..<4)
    #expect(throws: TrainingError.gradientBeforeForward(rows: 4..<8)) {
      try engine.setOutputGradient(Tensor(zeros: [4, 3]), rows: 4..<8)
    }
    try engine.setOutputGradient(Harness.gradient(outputs), rows: 0..<4)
    #expect(throws: TrainingError.incompleteBatch(missing: 8)) { try engine.finishStep() }
  }

  @Test func gradientsThatDoNotFitLeaveThePartWaiting() throws {
    let engine = try begun()
    let outputs = try Harness.forward(engine, 0..<4)
    #expect(throws: TrainingError.gradientShape(expected: [4, 3], found: [4, 2])) {
      try engine.setOutputGradient(Tensor(zeros: [4, 2]), rows: 0..<4)
    }
    #expect(throws: TrainingError.nonFiniteGradient) {
      try engine.setOutputGradient(Tensor(repeating: .nan, shape: [4, 3]), rows: 0..<4)
    }
    try engine.setOutputGradient(Harness.gradient(outputs), rows: 0..<4)
  }

  @Test func perTokenGradientsHaveARowForEachToken() throws {
    let engine = try begun(Harness(isPerToken: true))
    let outputs = try Harness.forward(engine, 0..<4)
    let tokens = Harness.layout(0, 0..<4).tokens
    #expect(outputs.shape == [tokens, 3])
    #expect(throws: TrainingError.gradientShape(expected: [tokens, 3], found: [4, 3])) {
      try engine.setOutputGradient(Tensor(zeros: [4, 3]), rows: 0..<4)
    }
  }

  @Test func anErrorOfTheFillerLeavesThePartDue() throws {
    struct Interrupted: Error {}
    let engine = try begun()
    #expect(throws: Interrupted.self) {
      try engine.forward(rows: 0..<4, sequences: Harness.layout(0, 0..<4)) { _ in throw Interrupted() }
    }
    _ = try Harness.forward(engine, 0..<4)
  }

  @Test func aBatchBegunAnewForgetsItsParts() throws {
    let engine = try begun()
    let outputs = try Harness.forward(engine, 0..<4)
    try engine.setOutputGradient(Harness.gradient(outputs), rows: 0..<4)
    _ = try Harness.forward(engine, 4..<8)
    _ = try Harness.forward(engine, 8..<12)
    try Harness.step(engine, part: 4, ahead: 2)
    let undisturbed = try Harness().engine(Float.self)
    try Harness.step(undisturbed, part: 4)
    #expect(EngineHarness.bits(engine) == EngineHarness.bits(undisturbed))
  }

  @Test func gradientsThatOverflowInsideLeaveTheWeightsAlone() throws {
    let engine = try begun()
    let before = EngineHarness.bits(engine)
    for start in [0, 4, 8] {
      let rows = start..<start + 4
      _ = try Harness.forward(engine, rows)
      try engine.setOutputGradient(Tensor(repeating: .greatestFiniteMagnitude, shape: [4, 3]), rows: rows)
    }
    #expect(throws: TrainingError.nonFiniteGradient) { try engine.finishStep() }
    #expect(EngineHarness.bits(engine) == before)
    #expect(engine.step == 0)
  }

  // MARK: - Layouts

  @Test(arguments: [
    ([0, 2], [0]), ([0, 2, 4, 6], [0, 2, 4]), ([0, 2, 2], [0, 2]), ([0, 3, 2], [0, 2]), ([1, 2, 4], [1, 2]),
    ([0, 10, 12], [0, 10]), ([0, 2, 4], [0, 1]), ([0, 2, 4], [2, 3]), ([0, 2, 4], [0, 4]), ([0, 2, 4], [0]),
    ([0, 2, 4], []), ([0, 2, 4], [0, -1]), ([], []), ([0, Int.max, Int.min], [0, 0]),
  ])
  func aLayoutThatDoesNotFitIsRefused(_ layout: ([Int], [Int])) throws {
    let engine = try begun()
    let sequences = SequenceLayout(offsets: layout.0, pooled: layout.1)
    #expect(
      performing: {
        try engine.forward(rows: 0..<2, sequences: sequences) { $0.update(repeating: 0) }
      }, throws: Self.isAboutSequences)
    #expect(
      performing: {
        try engine.infer(rows: 2, sequences: sequences) { $0.update(repeating: 0) }
      }, throws: Self.isAboutSequences)
  }

  @Test func pooledTokensMayBeMissingWhereNoLayerReadsThem() throws {
    let engine = try begun(Harness(isPerToken: true))
    _ = try engine.forward(rows: 0..<2, sequences: SequenceLayout(offsets: [0, 2, 4], pooled: [])) {
      $0.update(repeating: 0)
    }
  }

  @Test func sequencesWithoutLengthsAreRefused() throws {
    let engine = try begun()
    #expect(performing: { try engine.forward(rows: 0..<2) { _ in } }, throws: Self.isAboutSequences)
    #expect(performing: { try engine.infer(rows: 2) { _ in } }, throws: Self.isAboutSequences)
  }

  @Test func lengthsForRowsThatAreSamplesAreRefused() throws {
    let engine = try EngineHarness.engine(Float.self)
    try engine.beginBatch(rows: 4)
    let sequences = Harness.layout([1, 1])
    #expect(
      performing: { try engine.forward(rows: 0..<2, sequences: sequences) { _ in } }, throws: Self.isAboutSequences)
    #expect(performing: { try engine.infer(rows: 2, sequences: sequences) { _ in } }, throws: Self.isAboutSequences)
  }

  private static func isAboutSequences(_ error: any Error) -> Bool {
    if case TrainingError.sequences = error { return true }
    return false
  }

  // MARK: - Models

  @Test func aModelOfWhichNothingIsTrainedIsRefused() throws {
    let layer = MixLayer(
      "only", from: 0, to: 1, widths: (2, 2), trained: false, record: MixLayer.Record())
    let value = ModelValue(space: SpaceID("x"), width: 2, domain: .tokens)
    let model = Model(
      structure: ModelStructure(spaces: [], layers: [layer], input: SpaceID("x"), output: SpaceID("x")),
      values: [value, value], layers: [layer],
      rules: SequenceRules(maximumTokens: 2, needsPooledTokens: false))
    let sgd = OptimizerDescription(
      kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil)
    #expect(throws: TrainingError.invalidModel("no parameter that its output depends on is trained")) {
      try TrainingEngine<Float>(
        EngineSettings(model, optimizer: sgd, batchRows: 1, partRows: nil),
        schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 1, compute: Compute(threads: 1))
    }
  }

  @Test func aPartOfNoRowsIsRefused() throws {
    #expect(throws: TrainingError.invalidSetting("a part of a batch needs at least 1 row")) {
      try Harness().settings(partRows: 0)
    }
  }
}
