package import Architecture
import Checkpoints
package import JobSpec
package import Masking
import Training

/// A job once the sizes of its data are known: the model, its spaces and its keys' groups. Enough to unmask a result without the data.
package struct JobShape: Sendable {
  package let job: ResolvedJob
  package let data: DataShape
  package let model: ModelDescription
  package let structure: ModelStructure
  package let keyPlan: KeyPlan
  /// The checkpoint that the job names, where it names one.
  package let pretrained: PretrainedModel?

  /// - Throws: `MaskingError` when the job would not be exact; `CheckpointError`, `OwnerError` for a checkpoint that cannot be used.
  package init(job: ResolvedJob, data: DataShape) throws {
    let pretrained: PretrainedModel? =
      if case .huggingFace(let model) = job.model { try PretrainedModel(model, task: job.task) } else { nil }
    if let pretrained, let known = data.checkpoint, try pretrained.directory.fingerprint() != known {
      throw OwnerError.unfitData(
        "\(pretrained.settings.directory) holds other weights than when the run began; put the old checkpoint back")
    }
    try self.init(job: job, data: data, pretrained: pretrained)
  }

  init(job: ResolvedJob, data: DataShape, pretrained: PretrainedModel?) throws {
    self.job = job
    self.data = data
    self.pretrained = pretrained
    switch job.model {
    case .mlp(let hidden, let activation):
      model = .mlp(
        MLPDescription(
          input: HomogeneousColumns(features: data.features, padding: job.masking.padding), hidden: hidden,
          activation: activation, outputs: data.outputs, adapter: job.masking.adapterWidth))
    case .huggingFace:
      guard let pretrained else { throw OwnerError.unfitJob("the job names no checkpoint") }
      model = .transformer(
        try pretrained.description(
          outputs: data.outputs, maximumTokens: data.maximumTokens ?? 1, recomputes: job.train.recompute))
    }
    structure = try Model(model).structure
    keyPlan = try KeyResolver.resolve(
      structure: structure, masking: job.masking, optimizer: job.optimizer,
      lossConstraint: LossRules.constraint(
        on: structure.output, task: job.task, location: job.lossLocation, labelsMissing: data.labelsMissing))
  }

  /// Width of an input row as it is sent: d + 1 + k for features, d for tokens.
  package var inputWidth: Int { structure.space(structure.input)?.width ?? 0 }

  /// The model's starting weights, drawn from `secret` or read from the checkpoint.
  package func startingWeights(secret: OrderSecret) -> any PlaintextWeights {
    let fresh = FreshWeights(structure.parameters, secret: secret)
    guard let pretrained else { return fresh }
    return PretrainedWeights(model: pretrained, fresh: fresh)
  }
}
