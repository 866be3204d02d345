package import Models
package import Numerics

/// All that an audit works on: the trainer's view of a job, the same view with nothing masked, and the truth to score against.
package struct Evidence: Sendable {
  package let masked: ProviderView
  /// The same rows and steps with identity keys and without noise: where an attack that works must succeed.
  ///
  /// It says of its spaces what `masked` says: an attack that knew there is no key would be another attack.
  package let control: ProviderView
  package let truth: OwnerTruth
  /// The truth of `control`: its input key is the identity.
  package let controlTruth: OwnerTruth
  package let knowledge: PublicKnowledge
  package let traits: JobTraits
  /// Nil where no models like the job's can be trained; `shadowsMissing` says why.
  package let shadows: (any ShadowTraining)?
  package let shadowsMissing: String?
  /// Nil without noise, or where it was not measured.
  package let noiseCost: NoiseCost?
  /// Why the cost of the job's noise was not measured; nil where it was, and without noise.
  package let noiseCostMissing: String?
  /// Whether the run ended early because its time was up, before all rows were seen.
  package let isCutShort: Bool

  package init(
    masked: ProviderView, control: ProviderView, truth: OwnerTruth, controlTruth: OwnerTruth,
    knowledge: PublicKnowledge,
    traits: JobTraits, shadows: (any ShadowTraining)?, shadowsMissing: String? = nil,
    noiseCost: NoiseCost? = nil,
    noiseCostMissing: String? = nil, isCutShort: Bool = false
  ) {
    self.masked = masked
    self.control = control.assuming(masked.groups)
    self.truth = truth
    self.controlTruth = controlTruth
    self.knowledge = knowledge
    self.traits = traits
    self.shadows = shadows
    self.shadowsMissing = shadowsMissing
    self.noiseCost = noiseCost
    self.noiseCostMissing = noiseCostMissing
    self.isCutShort = isCutShort
  }
}

/// What a job's trainer holds of it after some steps: all that an attack of the provider may look at.
package struct ProviderView: Sendable {
  /// The rows that arrive, `[n, w]`: one per sample, or the tokens of one sample after the other, in the order of `truth`.
  package let inputs: Tensor<Float>
  /// Tokens of each sample; nil where a sample is one row.
  package let lengths: [Int32]?
  /// Whether the model's layers put the positions in (rotary), so that `inputs` say nothing of them.
  package let isRotary: Bool
  /// Which keys each space has: no secret, the protocol says it.
  package let groups: [SpaceID: SymmetryGroup]
  /// The space that `inputs` live in.
  package let input: SpaceID
  /// In the model's order, as both lists of weights.
  package let parameters: [ParameterSpecification]
  package let initialWeights: [Tensor<Float>]
  package let finalWeights: [Tensor<Float>]
  /// Of each sample (or token, where each has a target) when it was first trained on, `[m, outputs]`.
  package let outputs: Tensor<Float>
  /// What came back for `outputs`, row by row.
  package let targets: ProviderTargets
  /// Of a deployment's host, who sees no targets; nil of a job's trainer.
  package let deployment: DeploymentView?

  package init(
    inputs: Tensor<Float>, lengths: [Int32]?, isRotary: Bool = false, groups: [SpaceID: SymmetryGroup], input: SpaceID,
    parameters: [ParameterSpecification], initialWeights: [Tensor<Float>], finalWeights: [Tensor<Float>],
    outputs: Tensor<Float>, targets: ProviderTargets, deployment: DeploymentView? = nil
  ) {
    self.inputs = inputs
    self.lengths = lengths
    self.isRotary = isRotary
    self.groups = groups
    self.input = input
    self.parameters = parameters
    self.initialWeights = initialWeights
    self.finalWeights = finalWeights
    self.outputs = outputs
    self.targets = targets
    self.deployment = deployment
  }

  package var inputGroup: SymmetryGroup { groups[input] ?? .trivial }

  /// The same, of a job that is said to have these keys.
  func assuming(_ groups: [SpaceID: SymmetryGroup]) -> ProviderView {
    ProviderView(
      inputs: inputs, lengths: lengths, isRotary: isRotary, groups: groups, input: input, parameters: parameters,
      initialWeights: initialWeights, finalWeights: finalWeights, outputs: outputs, targets: targets,
      deployment: deployment)
  }
}

/// How the provider sees labels.
package enum ProviderTargets: Sendable {
  /// Loss at the owner: ∂L/∂y', `[m, outputs]`.
  case gradients(Tensor<Float>)
  /// Loss at the trainer: class ids in the output key's order, negative where a token does not count.
  case classes([Int32])
  /// Loss at the trainer: masked values, NaN where missing, `[m, outputs]`.
  case values(Tensor<Float>)
}

/// The plaintext behind a view: what a claim is scored against, and nothing that an attack is given.
package struct OwnerTruth: Sendable {
  /// `[n, d]`: the rows behind `ProviderView.inputs`, before the constant, the padding and any noise.
  package let rows: Tensor<Float>
  /// Token id of each input row, and its position in its sample; nil where rows are features.
  package let tokens: [Int32]?
  package let positions: [Int32]?
  package let labels: TrueLabels
  /// T of x' = T x + δ, `[w, d]`, and δ as a last column where there is one, `[w, d + 1]`.
  package let inputKey: Tensor<Double>
  /// Of a deployment; nil of a job.
  package let deployment: DeploymentTruth?

  package init(
    rows: Tensor<Float>, tokens: [Int32]?, positions: [Int32]?, labels: TrueLabels, inputKey: Tensor<Double>,
    deployment: DeploymentTruth? = nil
  ) {
    self.rows = rows
    self.tokens = tokens
    self.positions = positions
    self.labels = labels
    self.inputKey = inputKey
    self.deployment = deployment
  }
}

/// The labels of the rows of `ProviderView.outputs`.
package enum TrueLabels: Sendable {
  /// Class ids; negative where a token does not count.
  case classes([Int32])
  /// `[m, columns]`, 0 or 1 for multilabel, any number for regression; NaN is missing.
  case values(Tensor<Float>, isBinary: Bool)
}

/// What an attacker may be assumed to have beside the view; each attack says which of it it uses.
package struct PublicKnowledge: Sendable {
  /// Rows of the same kind of data, none of them in the view, `[m, d]`.
  package let sampleRows: Tensor<Float>
  /// The tokens of texts of the same kind, none of them in the view; nil where rows are features.
  package let sampleTexts: [[Int32]]?
  /// The public weights that training started from, in the order of the view's parameters, zeros for those that were drawn from the
  /// owner's key; nil where there is no public checkpoint.
  package let baseWeights: [Tensor<Float>]?
  /// How the base checkpoint turns tokens into vectors.
  package let vocabulary: TokenVocabulary?

  package init(
    sampleRows: Tensor<Float>, sampleTexts: [[Int32]]?, baseWeights: [Tensor<Float>]?, vocabulary: TokenVocabulary?
  ) {
    self.sampleRows = sampleRows
    self.sampleTexts = sampleTexts
    self.baseWeights = baseWeights
    self.vocabulary = vocabulary
  }
}

/// A checkpoint's embedding: vector = norm(word + position + type), or the word's vector alone.
package struct TokenVocabulary: Sendable {
  /// `[vocabulary, d]`.
  package let words: Tensor<Float>
  /// `[positions, d]`; nil where positions are no part of the embedding.
  package let positions: Tensor<Float>?
  /// `[types, d]`.
  package let types: Tensor<Float>?
  /// Of the LayerNorm after the sum, d each; nil without one.
  package let gain: Tensor<Float>?
  package let shift: Tensor<Float>?

  package init(
    words: Tensor<Float>, positions: Tensor<Float>?, types: Tensor<Float>?, gain: Tensor<Float>?, shift: Tensor<Float>?
  ) {
    self.words = words
    self.positions = positions
    self.types = types
    self.gain = gain
    self.shift = shift
  }
}
