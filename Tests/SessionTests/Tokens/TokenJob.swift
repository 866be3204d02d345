import Families
import Foundation
import JobSpec
import Models
import TestSupport

/// A job on `TokenData` and a `TinyCheckpoint`; every field is one that some test changes.
struct TokenJob: Sendable {
  var family = TinyFamily.bert
  var task = LearningTask.classification
  var pool: TokenPooling?
  var classes: Int?
  /// Whether the checkpoint has one, of a family that may.
  var hasPooler = true
  /// Labels of the tokens for a language model, which needs none.
  var languageModelLabels: String?
  var train = TrainedPart.all
  var strength = MaskingStrength.rotation
  var noise: Double?
  var loss = LossLocation.owner
  var optimizer = SmallJob.sgd(rate: 0.05, clip: 1)
  var epochs = 3
  var batch = 8
  var accumulate = 1
  var microBatch = 3
  var recompute = false
  var keep = KeepPolicy.last
  var checkpointEverySteps = 2
  var privacy: PrivacyTarget?

  func changing(_ change: (inout TokenJob) -> Void) -> TokenJob {
    var copy = self
    change(&copy)
    return copy
  }

  static func lora(_ targets: [String], rank: Int = 2) -> TrainedPart {
    .lora(LowRankAdaptation(rank: rank, alpha: 4, targets: targets))
  }

  private var labels: String? {
    switch task {
    case .classification: "labels"
    case .multilabel: "tasks"
    case .regression: "targets"
    case .tokenClassification: "tags"
    case .causalLanguageModel: languageModelLabels
    case .survival: nil
    }
  }

  /// Writes the checkpoint beside the data where it is not there yet.
  func resolved(on data: TokenData) throws -> ResolvedJob {
    let checkpoint = data.file.deletingLastPathComponent().appending(
      path: family.rawValue + (hasPooler ? "" : "-bare"))
    if !FileManager.default.fileExists(atPath: checkpoint.path) {
      try TinyCheckpoint.write(family, to: checkpoint, hasPooler: hasPooler)
    }
    let hasTypes = try family.model().sizes.tokenTypes > 1
    return ResolvedJob(
      name: "tokens", trainer: "tcp://127.0.0.1:1",
      data: JobData(
        file: data.file.path,
        inputs: .tokens(TokenColumns(ids: "ids", mask: "mask", types: hasTypes ? "types" : nil)), labels: labels,
        split: .fraction(validation: 0.2, seed: 3), standardize: false),
      task: task,
      model: .huggingFace(HuggingFaceModel(directory: checkpoint.path, pool: pool, classes: classes, train: train)),
      masking: MaskingDescription(strength: strength, padding: 0, exact: true, noise: noise), lossLocation: loss,
      optimizer: optimizer, schedule: ScheduleDescription(warmup: 0.1, decay: .linear),
      train: JobTraining(
        epochs: epochs, batch: batch, microBatch: microBatch, seed: 1, keep: keep, accumulate: accumulate,
        recompute: recompute),
      checkpointEverySteps: checkpointEverySteps, privacy: privacy)
  }
}
