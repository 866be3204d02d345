import Models
import Foundation
import JobSpec

/// A job on `SmallData`; every field is one that some test changes.
struct SmallJob: Sendable {
  var task = LearningTask.classification
  /// Regression on targets of which some are missing.
  var hasGaps = false
  var hidden = [7, 5]
  var activation = Activation.relu
  var strength = MaskingStrength.rotation
  var padding = 1
  var adapter: Int?
  var noise: Double?
  var exact = true
  var loss = LossLocation.owner
  var optimizer = SmallJob.sgd()
  var schedule = ScheduleDescription(warmup: 0.1, decay: .linear)
  var epochs = 10
  var batch = 8
  var microBatch = 3
  var keep = KeepPolicy.last
  var standardize = false
  var checkpointEverySteps = 7
  var validation = 0.2
  var seed = 1
  var precision = TrainingPrecision.float32
  var privacy: PrivacyTarget?

  func changing(_ change: (inout SmallJob) -> Void) -> SmallJob {
    var copy = self
    change(&copy)
    return copy
  }

  static func sgd(
    rate: Double = 0.1, momentum: Double = 0.9, nesterov: Bool = false, decay: Double = 0, clip: Double? = nil
  ) -> OptimizerDescription {
    OptimizerDescription(
      kind: .sgd, learningRate: rate, momentum: momentum, nesterov: nesterov, weightDecay: decay, clipNorm: clip)
  }

  static func muon(rate: Double = 0.05, decay: Double = 0.01, clip: Double? = nil) -> OptimizerDescription {
    OptimizerDescription(
      kind: .muon, learningRate: rate, momentum: 0.95, nesterov: false, weightDecay: decay, clipNorm: clip)
  }

  static func adamw(rate: Double = 0.01, decay: Double = 0.01) -> OptimizerDescription {
    OptimizerDescription(
      kind: .adamw, learningRate: rate, momentum: 0, nesterov: false, weightDecay: decay, clipNorm: nil)
  }

  var labels: String? {
    switch task {
    case .classification, .tokenClassification, .causalLanguageModel: "classes"
    case .multilabel: "tasks"
    case .regression: hasGaps ? "targets_with_gaps" : "targets"
    case .survival: nil
    }
  }

  func resolved(on data: SmallData) -> ResolvedJob {
    ResolvedJob(
      name: "small", trainer: "tcp://127.0.0.1:1",
      data: JobData(
        file: data.file.path, inputs: .features("x"), labels: labels,
        survival: task == .survival ? SurvivalColumns(time: "times", event: "events") : nil,
        split: .fraction(validation: validation, seed: 3), standardize: standardize),
      task: task, model: .mlp(hidden: hidden, activation: activation),
      masking: MaskingDescription(
        strength: strength, padding: padding, exact: exact, adapterWidth: adapter, noise: noise),
      lossLocation: loss,
      optimizer: optimizer, schedule: schedule,
      train: JobTraining(
        epochs: epochs, batch: batch, microBatch: microBatch, seed: seed, keep: keep, precision: precision),
      checkpointEverySteps: checkpointEverySteps, privacy: privacy)
  }
}
