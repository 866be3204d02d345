import Architecture
import JobSpec
package import Masking

extension PreparedJob {
  /// The job's spaces with nothing masked: what plaintext training is.
  package func identityPlan() throws -> KeyPlan {
    try KeyResolver.resolve(
      structure: shape.structure,
      masking: MaskingDescription(strength: .none, padding: job.masking.padding, exact: true),
      optimizer: job.optimizer,
      lossConstraint: LossRules.constraint(
        on: shape.structure.output, task: job.task, location: job.lossLocation,
        labelsMissing: shape.data.labelsMissing))
  }
}
