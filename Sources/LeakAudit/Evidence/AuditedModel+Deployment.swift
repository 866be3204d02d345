import Families
import JobSpec
import Models
import Numerics
package import OwnerRole

extension AuditedModel {
  /// A model that was deployed, with its plaintext weights in memory.
  ///
  /// - Parameter traits: of the deployment; the base model's weights are read where these say that it is public.
  /// - Throws: `FileError` for weights that cannot be read; `OwnerError`.
  package init(_ model: DeployableModel, traits: JobTraits) throws {
    let parameters = model.structure.parameters
    let weights: [Tensor<Float>] = try parameters.map { try model.weights.tensor($0) }
    var base: [Tensor<Float>]?
    if let pretrained = model.pretrained, traits.baseModel == .public {
      let checkpoint = PretrainedWeights(model: pretrained, fresh: nil)
      base = try parameters.map {
        $0.origin == .pretrained ? try checkpoint.tensor($0) : Tensor(zeros: $0.shape)
      }
    }
    let shape = model.questionShape
    let tokens = try model.pretrained.map { pretrained in
      Tokens(
        embedding: try pretrained.embedding(),
        settings: TokenSettings(
          task: model.job.task, poolsLast: shape.tokens?.poolsLast == true, shuffles: shape.tokens?.shuffles == true))
    }
    self.init(
      traits: traits, graph: model.graph, parameters: parameters, plan: model.keyPlan, masking: model.job.masking,
      weights: weights, base: base, tokens: tokens)
  }

  /// As `DeploymentRecord.weights` has it.
  var contentHash: String {
    var hash = WeightsHash()
    for (parameter, tensor) in zip(parameters, weights) { hash.update(parameter, tensor) }
    return hash.value
  }
}
