/// The masking part of a job.
package struct MaskingDescription: Sendable, Equatable, Codable {
  package let strength: MaskingStrength
  /// k of x̃ = [x; 1; 0_k]: 0 … 4096.
  package let padding: Int
  /// Refuse what would not equal plaintext training. False lets an optimizer run under keys it does not commute with.
  package let exact: Bool

  package init(strength: MaskingStrength, padding: Int, exact: Bool) {
    self.strength = strength
    self.padding = padding
    self.exact = exact
  }
}
