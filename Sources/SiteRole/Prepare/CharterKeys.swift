package import Federation
import JobSpec
package import Masking
import Models
import Numerics
import OwnerRole

/// The keys that a charter leaves the spaces of its model, worked out without any site's data.
package struct CharterKeys {
  /// Nil where the sizes of the model follow from the sites' files.
  package let rows: [KeyPlanRow]?
  /// Of the trained parameters together; nil where `rows` is.
  package let entries: Int?

  /// - Throws: `MaskingError` for a model whose spaces cannot be keyed; what reading a checkpoint throws.
  package init(_ plan: FederationPlan) throws {
    let charter = plan.charter
    guard let data = try Self.shape(charter) else {
      (rows, entries) = (nil, nil)
      return
    }
    // As `PreparedSite` has it.
    let isPadded = if case .mlp = charter.model { charter.federation.masking.strength != .none } else { false }
    let padding = isPadded ? 1 : 0
    let inputs: JobInputs = data.features > 0 ? .features("features") : .tokens(TokenColumns(ids: "tokens"))
    let job = ResolvedJob(
      name: charter.name, trainer: charter.aggregator.address,
      data: JobData(
        file: "", inputs: inputs, labels: nil, split: .fraction(validation: 0, seed: 0), standardize: false),
      task: charter.task, model: charter.model,
      masking: MaskingDescription(strength: .none, padding: padding, exact: true), lossLocation: .owner,
      optimizer: charter.optimizer, schedule: charter.schedule,
      train: JobTraining(
        epochs: 1, batch: charter.train.batch, microBatch: charter.train.microBatch, seed: charter.train.seed,
        keep: .last),
      checkpointEverySteps: 1)
    let shape = try JobShape(job: job, data: data)
    let model = try GlobalModel<Float>(
      plan: plan, shape: shape, group: GroupKey(), compute: Compute(threads: 1))
    (rows, entries) = (model.keyPlan.rows, model.count)
  }

  private static func shape(_ charter: Charter) throws -> DataShape? {
    let outputs: Int? =
      switch charter.task {
      case .classification: charter.data.classes.isEmpty ? nil : charter.data.classes.count
      case .survival: 1
      case .multilabel, .regression, .tokenClassification, .causalLanguageModel: nil
      }
    guard let outputs else { return nil }
    switch charter.model {
    case .mlp:
      guard !charter.data.columns.isEmpty else { return nil }
      return DataShape(
        features: charter.data.columns.count, outputs: outputs, classNames: nil, labelsMissing: false)
    case .huggingFace:
      return DataShape(features: 0, maximumTokens: 1, outputs: outputs, classNames: nil, labelsMissing: false)
    }
  }
}
