/// Rotary position embedding (Su et al., RoFormer, 2021, eq. 15): coordinate i of a head is turned together with coordinate
/// i + headWidth/2 by position · frequencies[i].
package struct RotaryDescription: Sendable, Equatable, Codable {
  /// Radians a position, headWidth/2 of them, after any scaling that the checkpoint asks for.
  package let frequencies: [Double]

  package init(frequencies: [Double]) {
    self.frequencies = frequencies
  }
}
