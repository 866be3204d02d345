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

  package init(
    knownRowsMin: Int? = nil, spectralRecoveryMax: Double? = nil, sourceSeparationMax: Double? = nil,
    linkageMax: Double? = nil, keyErrorMin: Double? = nil, tokenRecoveryMax: Double? = nil,
    labelInformationMax: Double? = nil, matchingMax: Double? = nil, membershipMax: Double? = nil
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
  }
}
