package import OwnerRole
package import Models
import Families
import JobSpec
import Masking

/// What of a job decides which attacks apply and what would lower them; no secret.
package struct JobTraits: Sendable, Equatable, Codable {
  package var name: String
  package var task: LearningTask
  package var strength: MaskingStrength
  /// Rows of features or token sequences.
  package var readsTokens: Bool
  /// Whether the tokens of a sample go in a secret order.
  package var shufflesTokens: Bool
  /// Nil where no checkpoint is named.
  package var baseModel: BaseModelVisibility?
  package var lossLocation: LossLocation
  /// Deviation of the noise on the inputs; nil without.
  package var noise: Double?
  /// Nil without an adapter.
  package var adapterWidth: Int?
  /// Of the whole job, trained on and validated on.
  package var rows: Int
  /// d.
  package var features: Int
  package var epochs: Int
  /// Which keys the input has, whatever the strength asks for: norms and optimizers allow less.
  package var inputGroup: SymmetryGroup
  /// Zero columns beside the features.
  package var padding: Int
  /// Units of the layer that reads the input; nil where a transformer does.
  package var firstLayerUnits: Int?
  package var optimizer: OptimizerDescription.Kind
  /// The most that the job could be masked with, where that gives its input more keys than it has now; nil where nothing does.
  package var strongerMasking: MaskingStrength?
  /// Whether the tokens of a sample could go in a secret order and do not.
  package var canShuffleTokens: Bool
  /// Whether `data.standardize` could be set and is not.
  package var canStandardize: Bool

  package init(
    name: String, task: LearningTask, strength: MaskingStrength, readsTokens: Bool, shufflesTokens: Bool,
    baseModel: BaseModelVisibility?, lossLocation: LossLocation, noise: Double?, adapterWidth: Int?, rows: Int,
    features: Int, epochs: Int, inputGroup: SymmetryGroup = .orthogonal, padding: Int = 0,
    firstLayerUnits: Int? = nil, optimizer: OptimizerDescription.Kind = .sgd, strongerMasking: MaskingStrength? = nil,
    canShuffleTokens: Bool = false, canStandardize: Bool = false
  ) {
    self.name = name
    self.task = task
    self.strength = strength
    self.readsTokens = readsTokens
    self.shufflesTokens = shufflesTokens
    self.baseModel = baseModel
    self.lossLocation = lossLocation
    self.noise = noise
    self.adapterWidth = adapterWidth
    self.rows = rows
    self.features = features
    self.epochs = epochs
    self.inputGroup = inputGroup
    self.padding = padding
    self.firstLayerUnits = firstLayerUnits
    self.optimizer = optimizer
    self.strongerMasking = strongerMasking
    self.canShuffleTokens = canShuffleTokens
    self.canStandardize = canStandardize
  }
}

extension JobShape {
  /// What of this job decides how it can be attacked, and what its plan would allow instead.
  ///
  /// - Parameter rows: of the whole job.
  package func traits(rows: Int) -> JobTraits {
    let masking = job.masking
    let family = pretrained.map { type(of: $0.family) }
    let shuffles = family.map { TokenSettings.shuffles(masking, family: $0) } ?? false
    var units: Int?
    if case .mlp(let hidden, _) = job.model { units = masking.adapterWidth ?? hidden.first ?? data.outputs }
    return JobTraits(
      name: job.name, task: job.task, strength: masking.strength, readsTokens: family != nil, shufflesTokens: shuffles,
      baseModel: masking.baseModel, lossLocation: job.lossLocation, noise: masking.noise,
      adapterWidth: masking.adapterWidth, rows: rows, features: family == nil ? data.features : inputWidth,
      epochs: job.train.epochs, inputGroup: keyPlan.input.group, padding: masking.padding, firstLayerUnits: units,
      optimizer: job.optimizer.kind, strongerMasking: strongerMasking,
      canShuffleTokens: family?.readsTokenOrder == false && !shuffles,
      canStandardize: family == nil && !job.data.standardize)
  }

  /// The strength that gives the input the largest group, if that is more than it has; what the plan refuses does not count.
  private var strongerMasking: MaskingStrength? {
    for strength in [MaskingStrength.rotation, .permutation] {
      let masking = job.masking
      let plan = try? KeyResolver.resolve(
        structure: structure,
        masking: MaskingDescription(
          strength: strength, padding: masking.padding, exact: masking.exact, shuffleTokens: masking.shuffleTokens,
          baseModel: masking.baseModel, adapterWidth: masking.adapterWidth, noise: masking.noise),
        optimizer: job.optimizer,
        lossConstraint: LossRules.constraint(
          on: structure.output, task: job.task, location: job.lossLocation, labelsMissing: data.labelsMissing))
      if let plan, plan.input.group > keyPlan.input.group { return strength }
    }
    return nil
  }
}

extension PreparedJob {
  /// What of this job decides how it can be attacked.
  package var traits: JobTraits { shape.traits(rows: plan.totalRows) }
}
