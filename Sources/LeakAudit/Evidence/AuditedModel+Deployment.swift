import Families
import JobSpec
import Masking
import Models
import Numerics
package import OwnerRole

extension AuditedModel {
  /// A model that was deployed, with its plaintext weights in memory.
  ///
  /// Its checkpoint counts as public unless the job says that it is private.
  ///
  /// - Parameter rows: that there are to ask about.
  /// - Throws: `FileError` for weights that cannot be read; `OwnerError`.
  package init(_ model: DeployableModel, rows: Int) throws {
    let parameters = model.structure.parameters
    var base: [Tensor<Float>]?
    if let pretrained = model.pretrained, model.job.masking.baseModel != .private {
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
      traits: Self.traits(model, rows: rows), graph: model.graph, parameters: parameters, plan: model.keyPlan,
      masking: model.job.masking, weights: try parameters.map { try model.weights.tensor($0) }, base: base,
      tokens: tokens)
  }

  private static func traits(_ model: DeployableModel, rows: Int) -> JobTraits {
    let (job, masking, shape) = (model.job, model.job.masking, model.questionShape)
    var units: Int?
    if case .mlp(let hidden, _) = job.model { units = masking.adapterWidth ?? hidden.first ?? model.data.outputs }
    return JobTraits(
      name: job.name, task: job.task, strength: masking.strength, readsTokens: model.pretrained != nil,
      shufflesTokens: shape.tokens?.shuffles == true, baseModel: masking.baseModel, lossLocation: .owner,
      noise: masking.noise, adapterWidth: masking.adapterWidth, rows: rows,
      features: model.pretrained == nil ? model.data.features : model.keyPlan.input.width, epochs: 1,
      inputGroup: model.keyPlan.input.group, padding: masking.padding, firstLayerUnits: units)
  }
}
