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
