import Architecture
import Masking
import Tensors
import Training

/// A multi-layer perceptron to measure, with starting weights.
struct TrainingSetup {
  let model: ModelDescription
  let optimizer: OptimizerDescription
  let batch: Int

  /// - Parameter features: d; the model's input is d + 1 + padding wide.
  init(features: Int, padding: Int, hidden: [Int], outputs: Int, batch: Int) {
    model = .mlp(
      MLPDescription(
        input: HomogeneousColumns(features: features, padding: padding), hidden: hidden, activation: .relu,
        outputs: outputs))
    optimizer = OptimizerDescription(
      kind: .sgd, learningRate: 1e-3, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: 1)
    self.batch = batch
  }

  func engine(_ workers: Workers) throws -> TrainingEngine<Float> {
    let parameters = try Model(model).structure.parameters.map { parameter in
      let inputs = parameter.shape.count > 1 ? parameter.shape[1] : 1
      return SampleData.uniform(parameter.shape, scale: 1 / Float(inputs).squareRoot())
    }
    return try TrainingEngine(
      model: model, optimizer: optimizer, schedule: ScheduleDescription(warmup: 0, decay: .none), totalSteps: 1_000_000,
      batchRows: batch, workers: workers, parameters: parameters)
  }

  /// Keys as a job with the loss at the owner has them.
  func keys(_ workers: Workers) throws -> JobKeys<Float> {
    let structure = try Model(model).structure
    let plan = try KeyResolver.resolve(
      structure: structure, masking: MaskingDescription(strength: .rotation, padding: 1, exact: true),
      optimizer: optimizer,
      lossConstraint: LossRules.constraint(
        on: structure.output, task: .classification, location: .owner, labelsMissing: false))
    return JobKeys(master: MasterKey(for: JobIdentifier()), plan: plan, workers: workers)
  }
}
