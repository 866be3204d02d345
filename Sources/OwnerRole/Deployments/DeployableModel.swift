import Families
import Files
package import JobSpec
package import Masking
package import Models
package import Numerics
import Training

/// A trained model as a host will have it: its layers for inference alone, its weights, and what clients must know of it.
///
/// No optimizer works on hosted weights, so that their keys are as large as the layers and the job's strength allow; those of the job were narrower
/// where its optimizer asked for that.
package struct DeployableModel: Sendable {
  /// Of a job that would host it, without optimizer and training.
  package let shape: JobShape
  /// Not the shape's own: the host may pick the largest outputs of a language model.
  package let keyPlan: KeyPlan
  package let weights: any PlaintextWeights
  package let standardization: Standardization?
  package let names: DataNames?
  /// Rows of one question, or sequences.
  package let rowsPerQuestion: Int
  private let endTokens: [Int]

  package var job: ResolvedJob { shape.job }
  package var data: DataShape { shape.data }
  package var graph: ModelGraph { shape.graph }
  package var structure: ModelStructure { shape.structure }
  package var pretrained: PretrainedModel? { shape.pretrained }

  /// - Parameters:
  ///   - shape: of the job that the model was trained by, or would have been.
  ///   - weights: reads them as the hosted model's layers have them.
  ///   - maximumTokens: of a sample, and of a text with its continuation; nil for as many as `defaultTokens`, and for models of rows.
  ///   - strength: of the masking; nil for the job's.
  ///   - precision: that the host computes in; nil for the job's.
  /// - Throws: `OwnerError.unfitJob` for more tokens than the model has positions; `MaskingError`, `GraphError`.
  package init(
    shape: JobShape, standardization: Standardization?, names: DataNames?, maximumTokens: Int? = nil,
    strength: MaskingStrength? = nil, precision: TrainingPrecision? = nil,
    weights: (JobShape) throws -> any PlaintextWeights
  ) throws {
    let asked = strength ?? shape.job.masking.strength
    // A site's job masks nothing and has no padding then; a job's own stays as it is.
    let needsPadding: Bool
    if case .mlp = shape.job.model {
      needsPadding = asked != .none && shape.job.masking.strength == .none && shape.job.masking.adapterWidth == nil
    } else {
      needsPadding = false
    }
    let job = shape.job.hosted(
      strength: asked, padding: needsPadding ? 1 : shape.job.masking.padding,
      precision: precision ?? shape.job.train.precision)
    var data = shape.data
    if let pretrained = shape.pretrained { data.maximumTokens = maximumTokens ?? Self.defaultTokens(data, pretrained) }
    try self.init(
      job: job, data: data, pretrained: shape.pretrained, standardization: standardization, names: names,
      weights: weights)
  }

  private init(
    job: ResolvedJob, data: DataShape, pretrained: PretrainedModel?, standardization: Standardization?,
    names: DataNames?, weights: (JobShape) throws -> any PlaintextWeights
  ) throws {
    if let positions = pretrained?.sizes.positions, let tokens = data.maximumTokens, !(1...positions).contains(tokens) {
      throw OwnerError.unfitJob(
        "--max-tokens must be 1 … \(positions), the positions that the model has, not \(tokens)")
    }
    shape = try JobShape(job: job, data: data, pretrained: pretrained)
    self.standardization = standardization
    self.names = names
    endTokens = job.task == .causalLanguageModel ? try pretrained?.directory.endTokens() ?? [] : []
    rowsPerQuestion = pretrained == nil ? Self.featureRowsPerQuestion : Self.sequencesPerQuestion
    keyPlan = try KeyResolver.resolve(
      structure: shape.structure, masking: job.masking, optimizer: job.optimizer,
      lossConstraint: Self.outputConstraint(shape.structure.output, job.task))
    self.weights = try weights(shape)
  }

  /// The same model for samples of at most so many tokens; one of rows as it is.
  package func taking(tokens: Int?) throws -> DeployableModel {
    guard let tokens else { return self }
    var data = data
    data.maximumTokens = tokens
    return try DeployableModel(
      job: job, data: data, pretrained: pretrained, standardization: standardization, names: names,
      weights: { _ in weights })
  }

  private static let featureRowsPerQuestion = 256
  private static let sequencesPerQuestion = 16

  /// What a deployment takes unless told otherwise: enough for a page, and for what the model was trained on.
  private static func defaultTokens(_ data: DataShape, _ model: PretrainedModel) -> Int {
    min(model.sizes.positions, max(512, data.maximumTokens ?? 1))
  }

  /// The host picks the largest outputs of a language model, whose entries may therefore be moved and not mixed.
  private static func outputConstraint(_ output: SpaceID, _ task: LearningTask) -> SpaceConstraint {
    guard task == .causalLanguageModel else {
      return LossRules.constraint(on: output, task: task, location: .owner, labelsMissing: false)
    }
    return SpaceConstraint(space: output, largest: .permutation, reason: "the host picks the largest outputs")
  }

  /// What a client needs of it.
  package var questionShape: QuestionShape {
    QuestionShape(
      task: job.task, inputs: job.data.inputs, features: data.features, outputs: data.outputs,
      classes: data.classNames ?? names?.classes, columns: names?.columns, isStandardized: standardization != nil,
      masking: job.masking, input: keyPlan.input, output: keyPlan.output, tokens: pretrained.map(tokenShape),
      precision: job.train.precision == .float32 ? nil : job.train.precision)
  }

  private func tokenShape(_ model: PretrainedModel) -> TokenQuestionShape {
    let family = type(of: model.family)
    return TokenQuestionShape(
      vocabulary: model.sizes.vocabulary, types: model.sizes.tokenTypes, positions: model.sizes.positions,
      maximumTokens: data.maximumTokens ?? 1, requiresTrailingPadding: family.readsTokenOrder,
      requiresFirstToken: model.pooling == .cls, poolsLast: model.pooling == .last,
      shuffles: TokenSettings.shuffles(job.masking, family: family), normEpsilon: model.family.embeddingNormEpsilon,
      paddingToken: model.sizes.paddingToken ?? data.paddingToken,
      endTokens: endTokens, uncountedToken: model.uncountedToken)
  }

  /// What a client computes itself.
  package func material<Element: FloatingElement>() throws -> ClientMaterial<Element> {
    ClientMaterial(
      shape: questionShape, standardization: standardization, embedding: try pretrained?.embedding())
  }
}

extension DeployableModel {
  /// A weight as it is masked.
  ///
  /// - Throws: `OwnerError.unfitData` where it is not finite; `FileError`.
  func weight<Element: FloatingElement>(_ specification: ParameterSpecification) throws -> Tensor<Element> {
    let tensor: Tensor<Element> = try weights.tensor(specification)
    guard tensor.allFinite else {
      throw OwnerError.unfitData(
        "`\(specification.name)` holds NaN or an infinity; deploy a model with finite weights")
    }
    return tensor
  }

  /// A hash of all weights in the precision that they are uploaded in, 16 hexadecimal digits: reads each once.
  ///
  /// - Throws: as `weight`.
  func weightsHash<Element: FloatingElement>(in _: Element.Type) throws -> String {
    var hash = WeightsHash()
    for specification in structure.parameters {
      let tensor: Tensor<Element> = try weight(specification)
      hash.update(specification, tensor)
    }
    return hash.value
  }
}

extension OptimizerDescription {
  /// Stands where a job's is asked for and nothing is trained; commutes with every key.
  static let none = OptimizerDescription(
    kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil)
}

extension ResolvedJob {
  /// The same model without training, under other masking.
  fileprivate func hosted(strength: MaskingStrength, padding: Int, precision: TrainingPrecision) -> ResolvedJob {
    ResolvedJob(
      name: name, trainer: trainer, data: data, task: task, model: model,
      masking: MaskingDescription(
        strength: strength, padding: padding, exact: true, shuffleTokens: masking.shuffleTokens,
        baseModel: masking.baseModel, adapterWidth: masking.adapterWidth, noise: masking.noise),
      lossLocation: .owner, optimizer: .none, schedule: ScheduleDescription(warmup: 0, decay: .none),
      train: JobTraining(
        epochs: 1, batch: train.batch, microBatch: train.microBatch, seed: train.seed, keep: .last,
        precision: precision),
      checkpointEverySteps: checkpointEverySteps)
  }
}
