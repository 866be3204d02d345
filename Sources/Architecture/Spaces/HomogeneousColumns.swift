/// How an input row is laid out before masking: x̃ = [x; 1; 0_k], so that one orthogonal Q gives x' = T x + δ with
/// T = Q[:, 0..<d], δ = Q[:, d], and the first layer's bias is the weight on the δ direction.
package struct HomogeneousColumns: Sendable, Equatable, Codable {
  /// d: the features of a row, at least 1.
  package let features: Int
  /// k: zero columns appended before masking, at least 0.
  package let padding: Int

  package init(features: Int, padding: Int) {
    self.features = features
    self.padding = padding
  }

  /// d + 1 + k.
  package var width: Int { features + 1 + padding }
}
