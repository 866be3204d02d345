package import Masking
import Models

/// What it means that a host has seen so many masked rows of one model, in the words that every command uses for it.
///
/// All keys of a model count as one: from two masked copies follows what their keys differ by. How many known rows give the key is
/// `KeyPlanRow.knownRowsToKey`, which the audit's attack by known rows tries.
package struct SeenRows: Sendable, Equatable {
  /// Rows, or tokens, of all questions to this model under all its keys.
  package let count: Int
  private let input: KeyPlanRow
  private let readsTokens: Bool
  private let hasNoise: Bool

  /// - Parameter input: of the model's key plan.
  package init(_ count: Int, input: KeyPlanRow, readsTokens: Bool, hasNoise: Bool) {
    self.count = count
    self.input = input
    self.readsTokens = readsTokens
    self.hasNoise = hasNoise
  }

  /// A sentence or two: "the host has seen 1200 rows of this model under all its keys. Whoever …".
  package var text: String {
    let noun = readsTokens ? "token" : "row"
    let seen = "the host has seen \(count) \(count == 1 ? noun : noun + "s") of this model under all its keys"
    guard count > 0 else { return seen + "." }
    let noise = hasNoise ? " The noise on them stays in what is worked out." : ""
    switch input.group {
    case .trivial: return seen + ". Nothing is masked: it has read them." + (hasNoise ? noise : "")
    case .permutation, .signedPermutation:
      return seen
        + ". Their key moves values and leaves them as they are: a single \(noun) known in the clear gives most of it away, and with it all "
        + "others.\(noise)"
    case .orthogonal:
      let needed = input.knownRowsToKey
      guard count > needed else {
        return seen
          + ". The key follows from \(needed) \(noun)s known in the clear, more than there are others so far; fewer give the others in part. "
          + "Distances between \(noun)s are plain.\(noise)"
      }
      return seen
        + ". Whoever knows \(needed) independent ones of them in the clear works out the key by linear algebra, and with it the other "
        + "\(count - needed) and every later one. Distances between \(noun)s are plain.\(noise)"
    }
  }
}
