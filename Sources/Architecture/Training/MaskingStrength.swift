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
