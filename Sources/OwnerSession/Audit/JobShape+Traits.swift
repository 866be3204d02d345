import Architecture
import Checkpoints
package import Exposure
import JobSpec
import Masking

extension JobShape {
  /// What of this job decides how it can be attacked, and what its plan would allow instead.
  ///
  /// - Parameter rows: of the whole job.
  package func traits(rows: Int) -> JobTraits {
    let masking = job.masking
    let family = pretrained?.configuration.family
    let shuffles = family.map { TokenSettings.shuffles(masking, family: $0) } ?? false
    var units: Int?
    if case .mlp(let hidden, _) = job.model { units = masking.adapterWidth ?? hidden.first ?? data.outputs }
    return JobTraits(
      name: job.name, task: job.task, strength: masking.strength, readsTokens: family != nil, shufflesTokens: shuffles,
      baseModel: masking.baseModel, lossLocation: job.lossLocation, noise: masking.noise,
      adapterWidth: masking.adapterWidth, rows: rows, features: family == nil ? data.features : inputWidth,
      epochs: job.train.epochs, inputGroup: keyPlan.input.group, padding: masking.padding, firstLayerUnits: units,
      optimizer: job.optimizer.kind, strongerMasking: strongerMasking,
      canShuffleTokens: family == .bert && !shuffles, canStandardize: family == nil && !job.data.standardize)
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
