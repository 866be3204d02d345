import Models
import Numerics
import Testing

@testable import Training

@Suite struct InferenceTests {
  @Test func inferenceDoesNotDisturbABatchInProgress() throws {
    let plain = try EngineHarness.engine(Float.self)
    let disturbed = try EngineHarness.engine(Float.self)
    try EngineHarness.step(plain, part: 96)
    try disturbed.beginBatch(rows: 96)
    let outputs = try disturbed.forward(rows: 0..<96) { input in
      for (index, value) in EngineHarness.inputs(0, rows: 0..<96).enumerated() { input[index] = Float(value) }
    }
    _ = try disturbed.infer(rows: 300) { $0.update(repeating: 0.5) }
    let labels = Targets<Float>.classes((0..<96).map { Int32($0 % 5) })
    let gradient = try LossFunction(task: .classification).evaluate(outputs: outputs, targets: labels, normalizer: 96)
      .gradient
    try disturbed.setOutputGradient(gradient, rows: 0..<96)
    _ = try disturbed.infer(rows: 2) { $0.update(repeating: 0.5) }
    _ = try disturbed.finishStep()
    #expect(EngineHarness.bits(plain) == EngineHarness.bits(disturbed))
  }

  @Test func inferenceOfManyRowsIsThatOfEachBlock() throws {
    let engine = try EngineHarness.engine(Double.self)
    let noise = LayerHarness.noise(600 * EngineHarness.width, seed: 3)
    let all = try engine.infer(rows: 600) { input in
      _ = input.update(fromContentsOf: noise)
    }
    try engine.beginBatch(rows: 5)
    let last = try engine.forward(rows: 0..<5) { input in
      _ = input.update(fromContentsOf: noise[(595 * EngineHarness.width)...])
    }
    #expect(all.shape == [600, 5])
    // The same sums of up to 300 products in another order.
    #expect(zip(all.elements.suffix(25), last.elements).allSatisfy { abs($0 - $1) < 1e-13 })
  }

  @Test func inferenceOfNoRowsIsRefused() throws {
    let engine = try EngineHarness.engine(Float.self)
    #expect(throws: TrainingError.self) { try engine.infer(rows: 0) { _ in } }
    #expect(throws: TrainingError.tooLarge) { try engine.infer(rows: Int.max / 2) { _ in } }
  }
}
