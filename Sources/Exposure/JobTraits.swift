package import Architecture

/// What of a job decides which attacks apply and what would lower them; no secret.
package struct JobTraits: Sendable, Equatable, Codable {
  package var name: String
  package var task: LearningTask
  package var strength: MaskingStrength
  /// Rows of features or token sequences.
  package var readsTokens: Bool
  /// Whether the tokens of a sample go in a secret order.
  package var shufflesTokens: Bool
  /// Nil where no checkpoint is named.
  package var baseModel: BaseModelVisibility?
  package var lossLocation: LossLocation
  /// Deviation of the noise on the inputs; nil without.
  package var noise: Double?
  /// Nil without an adapter.
  package var adapterWidth: Int?
  /// Of the whole job, trained on and validated on.
  package var rows: Int
  /// d.
  package var features: Int
  package var epochs: Int

  package init(
    name: String, task: LearningTask, strength: MaskingStrength, readsTokens: Bool, shufflesTokens: Bool,
    baseModel: BaseModelVisibility?, lossLocation: LossLocation, noise: Double?, adapterWidth: Int?, rows: Int,
    features: Int, epochs: Int
  ) {
    self.name = name
    self.task = task
    self.strength = strength
    self.readsTokens = readsTokens
    self.shufflesTokens = shufflesTokens
    self.baseModel = baseModel
    self.lossLocation = lossLocation
    self.noise = noise
    self.adapterWidth = adapterWidth
    self.rows = rows
    self.features = features
    self.epochs = epochs
  }
}
