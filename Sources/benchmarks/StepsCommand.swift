import Models
import ArgumentParser
import Masking
import Numerics
import Training

/// Training steps with the loss in this process, at the sizes of the two jobs of `make bench`.
struct StepsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "steps", abstract: "Rows trained a second without any owner: linear head, and the Tox21 model.")

  struct Result: Encodable {
    let threads: Int
    let headRowsPerSecond: Double
    let perceptronRowsPerSecond: Double
  }

  @OptionGroup var measurement: MeasurementOptions

  func run() throws {
    let compute = measurement.compute
    let head = try TrainingSetup(features: 768, padding: 1, hidden: [], outputs: 10, batch: 1024)
    let perceptron = try TrainingSetup(features: 2048, padding: 1, hidden: [512, 128], outputs: 12, batch: 64)
    try Report.write(
      Result(
        threads: compute.workers.threads, headRowsPerSecond: try rowsPerSecond(head, width: 770, classes: 10, compute),
        perceptronRowsPerSecond: try rowsPerSecond(perceptron, width: 2050, classes: 12, compute)))
  }

  private func rowsPerSecond(_ setup: TrainingSetup, width: Int, classes: Int, _ compute: Compute) throws -> Double {
    let engine = try setup.engine(compute)
    let rows = SampleData.uniform([setup.batch, width])
    let targets = Targets<Float>.classes((0..<setup.batch).map { Int32($0 % classes) })
    let steps = 20
    let loss = LossFunction(task: .classification)
    let rates = try (0...measurement.rounds).map { _ in
      Double(steps * setup.batch)
        / (try Timing.seconds {
          for _ in 0..<steps {
            try engine.beginBatch(rows: setup.batch)
            let outputs = try engine.forward(rows: 0..<setup.batch) { target in
              rows.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
            }
            let result = try loss.evaluate(outputs: outputs, targets: targets, normalizer: Double(setup.batch))
            try engine.setOutputGradient(result.gradient, rows: 0..<setup.batch)
            _ = try engine.finishStep()
          }
        })
    }
    return Timing.median(Array(rates.dropFirst()))
  }
}

/// A multi-layer perceptron to measure, with starting weights.
struct TrainingSetup {
  let model: ModelGraph
  let optimizer: OptimizerDescription
  let batch: Int

  /// - Parameter features: d; the model's input is d + 1 + padding wide.
  init(features: Int, padding: Int, hidden: [Int], outputs: Int, batch: Int) throws {
    model = try .perceptron(
      input: HomogeneousColumns(features: features, padding: padding), hidden: hidden, activation: .relu,
      outputs: outputs)
    optimizer = OptimizerDescription(
      kind: .sgd, learningRate: 1e-3, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: 1)
    self.batch = batch
  }

  func engine(_ compute: Compute) throws -> TrainingEngine<Float> {
    let parameters = Model(model).structure.parameters.map { parameter in
      let inputs = parameter.shape.count > 1 ? parameter.shape[1] : 1
      return SampleData.uniform(parameter.shape, scale: 1 / Float(inputs).squareRoot())
    }
    return try TrainingEngine(
      model: model, optimizer: optimizer, schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 1_000_000,
      batchRows: batch, compute: compute, parameters: parameters)
  }

  /// Keys as a job with the loss at the owner has them.
  func keys(_ compute: Compute) throws -> JobKeys<Float> {
    let structure = Model(model).structure
    let plan = try KeyResolver.resolve(
      structure: structure, masking: MaskingDescription(strength: .rotation, padding: 1, exact: true),
      optimizer: optimizer,
      lossConstraint: LossRules.constraint(
        on: structure.output, task: .classification, location: .owner, labelsMissing: false))
    return JobKeys(master: MasterKey(), plan: plan, compute: compute)
  }
}

/// Numbers to compute with: small, distinct, the same in every run. No secret, so no cryptographic stream.
enum SampleData {
  /// Uniform in ±scale (Knuth's 64-bit linear congruential generator, The Art of Computer Programming 2, 3.3.4).
  static func uniform(_ shape: [Int], scale: Float = 1) -> Tensor<Float> {
    var tensor = Tensor<Float>(zeros: shape)
    var state: UInt64 = 1
    tensor.withUnsafeMutableBufferPointer { elements in
      for index in elements.indices {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        elements[index] = scale * (Float(state >> 40) / Float(1 << 23) - 1)
      }
    }
    return tensor
  }
}
