import Models
import Numerics

@testable import Training

/// A small engine with three layers, and steps over inputs that follow the step number.
enum EngineHarness {
  static let width = 40 + 1 + 1

  static func engine<Element: FloatingElement>(
    _: Element.Type, kind: OptimizerDescription.Kind = .sgd, threads: Int = 2, capacity: Int = 96,
    activation: Activation = .gelu, totalSteps: Int = 20, precision: ProductPrecision = .full
  ) throws -> TrainingEngine<Element> {
    let graph = try ModelGraph.perceptron(
      input: HomogeneousColumns(features: 40, padding: 1), hidden: [300, 70], activation: activation, outputs: 5)
    return try TrainingEngine(
      model: graph,
      optimizer: OptimizerDescription(
        kind: kind, learningRate: 0.05, momentum: 0.9, nesterov: false, weightDecay: 0.01, clipNorm: 1),
      schedule: ScheduleDescription(warmup: 0.1, decay: .linear), totalSteps: totalSteps, batchRows: capacity,
      compute: Compute(workers: Workers(threads: threads), precision: precision),
      parameters: Model(graph).structure.parameters.enumerated().map { index, parameter in
        let fanIn = Double(parameter.shape.last ?? 1)
        return Tensor(
          LayerHarness.noise(parameter.shape.reduce(1, *), seed: UInt64(index + 1)).map {
            Element($0 / fanIn.squareRoot())
          }, shape: parameter.shape)
      })
  }

  static func inputs(_ step: Int, rows: Range<Int>) -> [Double] {
    let all = LayerHarness.noise(96 * width, seed: UInt64(1000 + step))
    return Array(all[rows.lowerBound * width..<rows.upperBound * width])
  }

  /// One step with micro-batches of `part` rows and labels that follow the row.
  ///
  /// - Parameter order: that the parts come in.
  @discardableResult
  static func step<Element: FloatingElement>(
    _ engine: TrainingEngine<Element>, rows: Int = 96, part: Int, order: ([Range<Int>]) -> [Range<Int>] = { $0 }
  ) throws -> (loss: Double, report: StepReport) {
    let labels = Targets<Element>.classes((0..<rows).map { Int32($0 % 5) })
    let loss = LossFunction(task: .classification)
    let number = engine.step
    try engine.beginBatch(rows: rows)
    var sum = 0.0
    for range in order(stride(from: 0, to: rows, by: part).map { $0..<min(rows, $0 + part) }) {
      let outputs = try engine.forward(rows: range) { input in
        for (index, value) in inputs(number, rows: range).enumerated() { input[index] = Element(value) }
      }
      let result = try loss.evaluate(outputs: outputs, targets: labels[range], normalizer: Double(rows))
      try engine.setOutputGradient(result.gradient, rows: range)
      sum += result.lossSum
    }
    return (sum / Double(rows), try engine.finishStep())
  }

  static func bits(_ engine: TrainingEngine<Float>) -> [[UInt32]] {
    engine.parameters.map { $0.elements.map(\.bitPattern) }
      + engine.optimizerState.map { $0.tensor.elements.map(\.bitPattern) }
  }
}
