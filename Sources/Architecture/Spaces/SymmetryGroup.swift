/// The groups a space's key may be drawn from, smallest first; each contains the ones before it.
///
/// The lattice of `trivial ⊂ permutation ⊂ signedPermutation ⊂ orthogonal`; a space gets the minimum of what its layers,
/// its optimizer and the job's strength allow.
package enum SymmetryGroup: String, Sendable, Codable, CaseIterable, Comparable {
  case trivial
  case permutation
  case signedPermutation
  case orthogonal

  private var rank: Int {
    switch self {
    case .trivial: 0
    case .permutation: 1
    case .signedPermutation: 2
    case .orthogonal: 3
    }
  }

  package static func < (left: SymmetryGroup, right: SymmetryGroup) -> Bool {
    left.rank < right.rank
  }
}
