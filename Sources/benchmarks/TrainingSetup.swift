import Masking
import Models
import Numerics
import Training

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
