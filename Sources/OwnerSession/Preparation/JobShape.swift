package import Architecture
package import JobSpec
package import Masking
import Training

/// A job once the sizes of its data are known: the model, its spaces and its keys' groups. Enough to unmask a result without the data.
package struct JobShape: Sendable {
  package let job: ResolvedJob
  package let features: Int
  /// Classes or label columns.
  package let outputs: Int
  package let classNames: [String]?
  package let model: ModelDescription
  package let structure: ModelStructure
  package let keyPlan: KeyPlan

  /// - Parameter labelsMissing: whether some labels are missing, which narrows the output's key for squared error at the trainer.
  /// - Throws: `MaskingError` when the job would not be exact.
  package init(job: ResolvedJob, features: Int, outputs: Int, classNames: [String]?, labelsMissing: Bool) throws {
    self.job = job
    self.features = features
    self.outputs = outputs
    self.classNames = classNames
    switch job.model {
    case .mlp(let hidden, let activation):
      model = .mlp(
        MLPDescription(
          input: HomogeneousColumns(features: features, padding: job.masking.padding), hidden: hidden,
          activation: activation, outputs: outputs))
    case .huggingFace:
      throw OwnerError.unfitJob("model.huggingface needs data.tokens")
    }
    structure = try Model(model).structure
    keyPlan = try KeyResolver.resolve(
      structure: structure, masking: job.masking, optimizer: job.optimizer,
      lossConstraint: LossRules.constraint(
        on: structure.output, task: job.task, location: job.lossLocation, labelsMissing: labelsMissing))
  }

  package init(job: ResolvedJob, state: RunState) throws {
    try self.init(
      job: job, features: state.features, outputs: state.outputs, classNames: state.classNames,
      labelsMissing: state.labelsMissing)
  }

  /// Width of an input row in homogeneous coordinates, d + 1 + k.
  package var inputWidth: Int { structure.space(structure.input)?.width ?? 0 }
}
