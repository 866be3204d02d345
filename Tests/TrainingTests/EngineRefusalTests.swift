import Models
import Numerics
import Testing

@testable import Training

/// What the engine refuses, and that nothing has changed then.
@Suite struct EngineRefusalTests {
  @Test(arguments: [0, -1, 97, Int.max]) func aBatchOverCapacityOrEmptyIsRefused(_ rows: Int) throws {
    let engine = try EngineHarness.engine(Float.self)
    #expect(throws: TrainingError.batchRows(rows: rows, capacity: 96)) { try engine.beginBatch(rows: rows) }
  }

  @Test(arguments: [0..<0, -1..<3, 5..<11, 10..<12]) func rowsOutsideTheBatchAreRefused(_ rows: Range<Int>) throws {
    let engine = try EngineHarness.engine(Float.self)
    try engine.beginBatch(rows: 10)
    #expect(throws: TrainingError.rowsOutsideBatch(rows: rows, batch: 10)) { try engine.forward(rows: rows) { _ in } }
    #expect(throws: TrainingError.rowsOutsideBatch(rows: rows, batch: 10)) {
      try engine.setOutputGradient(Tensor(zeros: [1, 5]), rows: rows)
    }
  }

  @Test(arguments: [Float.nan, .infinity]) func aGradientThatIsNotFiniteIsRefused(_ bad: Float) throws {
    let engine = try EngineHarness.engine(Float.self)
    let before = EngineHarness.bits(engine)
    try engine.beginBatch(rows: 2)
    _ = try engine.forward(rows: 0..<2) { $0.update(repeating: 1) }
    var gradient = Tensor<Float>(repeating: 1, shape: [2, 5])
    gradient[7] = bad
    #expect(throws: TrainingError.nonFiniteGradient) { try engine.setOutputGradient(gradient, rows: 0..<2) }
    #expect(throws: TrainingError.incompleteBatch(missing: 2)) { try engine.finishStep() }
    #expect(EngineHarness.bits(engine) == before)
  }

  @Test func gradientsThatOverflowInsideLeaveTheWeightsAlone() throws {
    let engine = try EngineHarness.engine(Float.self)
    let before = EngineHarness.bits(engine)
    try engine.beginBatch(rows: 2)
    _ = try engine.forward(rows: 0..<2) { $0.update(repeating: 1) }
    try engine.setOutputGradient(
      Tensor(repeating: .greatestFiniteMagnitude, shape: [2, 5]), rows: 0..<2)
    #expect(throws: TrainingError.nonFiniteGradient) { try engine.finishStep() }
    #expect(EngineHarness.bits(engine) == before)
    #expect(engine.step == 0)
  }

  @Test func aGradientOfAnotherShapeIsRefused() throws {
    let engine = try EngineHarness.engine(Float.self)
    try engine.beginBatch(rows: 2)
    _ = try engine.forward(rows: 0..<2) { $0.update(repeating: 1) }
    #expect(throws: TrainingError.gradientShape(expected: [2, 5], found: [2, 4])) {
      try engine.setOutputGradient(Tensor(zeros: [2, 4]), rows: 0..<2)
    }
  }

  @Test func aGradientBeforeItsOutputsIsRefused() throws {
    let engine = try EngineHarness.engine(Float.self)
    try engine.beginBatch(rows: 4)
    _ = try engine.forward(rows: 0..<2) { $0.update(repeating: 1) }
    #expect(throws: TrainingError.gradientBeforeForward(rows: 1..<3)) {
      try engine.setOutputGradient(Tensor(zeros: [2, 5]), rows: 1..<3)
    }
  }

  @Test func aStepWithRowsMissingIsRefused() throws {
    let engine = try EngineHarness.engine(Float.self)
    #expect(throws: TrainingError.incompleteBatch(missing: 0)) { try engine.finishStep() }
    try engine.beginBatch(rows: 4)
    _ = try engine.forward(rows: 0..<4) { $0.update(repeating: 1) }
    try engine.setOutputGradient(Tensor(zeros: [3, 5]), rows: 0..<3)
    #expect(throws: TrainingError.incompleteBatch(missing: 1)) { try engine.finishStep() }
  }

  @Test func aStepBeyondTheLastIsRefused() throws {
    let engine = try EngineHarness.engine(Float.self, totalSteps: 1)
    try EngineHarness.step(engine, part: 96)
    #expect(throws: TrainingError.finished(totalSteps: 1)) { try EngineHarness.step(engine, part: 96) }
    engine.step = -1
    #expect(throws: TrainingError.finished(totalSteps: 1)) { try engine.finishStep() }
  }

  @Test func anErrorOfTheFillerLeavesTheRowsWaiting() throws {
    struct Interrupted: Error {}
    let engine = try EngineHarness.engine(Float.self)
    try engine.beginBatch(rows: 1)
    #expect(throws: Interrupted.self) { try engine.forward(rows: 0..<1) { _ in throw Interrupted() } }
    #expect(throws: TrainingError.gradientBeforeForward(rows: 0..<1)) {
      try engine.setOutputGradient(Tensor(zeros: [1, 5]), rows: 0..<1)
    }
  }

  @Test func parametersThatDoNotFitAreRefused() throws {
    let engine = try EngineHarness.engine(Float.self)
    let before = EngineHarness.bits(engine)
    var parameters = engine.parameters
    parameters[0] = Tensor(zeros: [300, 41])
    #expect(
      throws: TrainingError.parameterShape(name: "layers.0.weight", expected: [300, 42], found: [300, 41])
    ) { try engine.setParameters(parameters) }
    #expect(throws: TrainingError.parameterCount(expected: 5, found: 4)) {
      try engine.setParameters(Array(parameters.dropFirst()))
    }
    var poisoned = engine.parameters
    poisoned[2][3] = .nan
    #expect(throws: TrainingError.nonFiniteParameter(name: "layers.1.bias")) { try engine.setParameters(poisoned) }
    #expect(EngineHarness.bits(engine) == before)
  }

  @Test func optimizerStateThatDoesNotFitIsRefused() throws {
    let engine = try EngineHarness.engine(Float.self)
    #expect(throws: TrainingError.self) { try engine.setOptimizerState([]) }
    var renamed = engine.optimizerState
    renamed[0].name = "moment1.layers.0.weight"
    #expect(throws: TrainingError.self) { try engine.setOptimizerState(renamed) }
    var reshaped = engine.optimizerState
    reshaped[1].tensor = Tensor(zeros: [1])
    #expect(throws: TrainingError.self) { try engine.setOptimizerState(reshaped) }
    var poisoned = engine.optimizerState
    poisoned[2].tensor[0] = .infinity
    #expect(throws: TrainingError.self) { try engine.setOptimizerState(poisoned) }
  }
}
