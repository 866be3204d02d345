/// The masking part of a job.
package struct MaskingDescription: Sendable, Equatable, Codable {
  package let strength: MaskingStrength
  /// k of x̃ = [x; 1; 0_k]: 0 … 4096.
  package let padding: Int
  /// Width of a fresh secret linear layer between an MLP and its input, 1 … 1,048,576; nil for none.
  package let adapterWidth: Int?
  /// Deviation of the Gaussian noise added to every input value before masking, above 0; nil for none.
  package let noise: Double?
  /// Refuse what would not equal plaintext training. False lets an optimizer run under keys it does not commute with.
  package let exact: Bool
  /// Whether the tokens of a sample go in a fresh secret order; nil leaves it to the model, and where rows are samples.
  package let shuffleTokens: Bool?
  /// What the owner says of the pretrained model; stated wherever its weights are masked. Decides what the owner is told.
  package let baseModel: BaseModelVisibility?

  package init(
    strength: MaskingStrength, padding: Int, exact: Bool, shuffleTokens: Bool? = nil,
    baseModel: BaseModelVisibility? = nil, adapterWidth: Int? = nil, noise: Double? = nil
  ) {
    self.strength = strength
    self.padding = padding
    self.adapterWidth = adapterWidth
    self.noise = noise
    self.exact = exact
    self.shuffleTokens = shuffleTokens
    self.baseModel = baseModel
  }
}

/// What a job asks for; each space gets the largest group within it that stays exact.
package enum MaskingStrength: String, Sendable, Codable, CaseIterable {
  case rotation
  case permutation
  /// Only the input space is keyed; every other space is in the clear.
  case inputOnly = "input-only"
  /// Identity keys: plaintext training by the same engine.
  case none

  /// The largest group the strength asks for on a space.
  package func largestGroup(onInput: Bool) -> SymmetryGroup {
    switch self {
    case .rotation: .orthogonal
    case .permutation: .permutation
    case .inputOnly: onInput ? .orthogonal : .trivial
    case .none: .trivial
    }
  }
}

/// Whether the trainer may have the plaintext of a pretrained model. With it, keys can be worked out from the masked weights.
package enum BaseModelVisibility: String, Sendable, Codable, CaseIterable {
  case `public`
  case `private`
}

/// What an audit of a job must have found for the job to be sent; each bound on the metric of one attack, nil where the owner asks for
/// nothing. At least one is set.
package struct AuditGate: Sendable, Equatable, Codable {
  /// Rows with plaintext that the provider must need, at least, to work out the others: 1 … 1,000,000,000.
  package let knownRowsMin: Int?
  /// Largest share of columns found by spectral alignment: 0 … 1, as all shares and rates below.
  package let spectralRecoveryMax: Double?
  /// Largest share of columns found by blind source separation.
  package let sourceSeparationMax: Double?
  /// Largest rate of candidate records told to be among the rows, at 0.1 % false positives.
  package let linkageMax: Double?
  /// Smallest relative error of the key worked out from base weights: 0 … 2, the latter for an orthogonal key and its negative.
  package let keyErrorMin: Double?
  /// Largest share of tokens recovered.
  package let tokenRecoveryMax: Double?
  /// Largest adjusted mutual information between labels and what is inferred of them.
  package let labelInformationMax: Double?
  /// Largest share of right guesses which of two data sets was used; 0.5 is chance.
  package let matchingMax: Double?
  /// Largest rate of members told from the published model, at 0.1 % false positives.
  package let membershipMax: Double?
  /// Of a deployment: largest share of repeated questions linked to their first asking.
  package let repeatedQuestionsMax: Double?
  /// Of a deployment: smallest relative error of questions opened by another client's key and two copies: 0 … 2.
  package let copiesErrorMin: Double?
  /// Of a deployment: largest share of the generated vocabulary linked between masked tokens and masked outputs.
  package let cacheMax: Double?

  package init(
    knownRowsMin: Int? = nil, spectralRecoveryMax: Double? = nil, sourceSeparationMax: Double? = nil,
    linkageMax: Double? = nil, keyErrorMin: Double? = nil, tokenRecoveryMax: Double? = nil,
    labelInformationMax: Double? = nil, matchingMax: Double? = nil, membershipMax: Double? = nil,
    repeatedQuestionsMax: Double? = nil, copiesErrorMin: Double? = nil, cacheMax: Double? = nil
  ) {
    self.knownRowsMin = knownRowsMin
    self.spectralRecoveryMax = spectralRecoveryMax
    self.sourceSeparationMax = sourceSeparationMax
    self.linkageMax = linkageMax
    self.keyErrorMin = keyErrorMin
    self.tokenRecoveryMax = tokenRecoveryMax
    self.labelInformationMax = labelInformationMax
    self.matchingMax = matchingMax
    self.membershipMax = membershipMax
    self.repeatedQuestionsMax = repeatedQuestionsMax
    self.copiesErrorMin = copiesErrorMin
    self.cacheMax = cacheMax
  }
}
