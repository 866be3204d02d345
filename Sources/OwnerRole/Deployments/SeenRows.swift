package import Masking
import Models

/// What the host of a deployment had of its model before: it has trained it, under another key.
package struct HostTraining: Codable, Sendable, Equatable {
  /// Rows, of a model of tokens samples, of training and validation; nil where the run kept no count.
  package let rows: Int?

  package init(rows: Int?) {
    self.rows = rows
  }

  var isPossible: Bool { rows.map { (0...(1 << 50)).contains($0) } ?? true }
}

/// What it means that a host has seen so many masked rows of one deployment.
///
/// All keys of a model count as one: from two masked copies follows what their keys differ by. How many known rows give the key is
/// `KeyPlanRow.knownRowsToKey`, which the audit's attack by known rows tries.
package struct SeenRows: Sendable, Equatable {
  /// Rows, or tokens, of all questions to this deployment under all its keys.
  package let count: Int
  private let training: HostTraining?
  private let input: KeyPlanRow
  private let readsTokens: Bool
  private let hasNoise: Bool

  /// - Parameters:
  ///   - training: nil where the host did not train the model, as far as is known.
  ///   - input: of the model's key plan.
  package init(_ count: Int, training: HostTraining? = nil, input: KeyPlanRow, readsTokens: Bool, hasNoise: Bool) {
    self.count = count
    self.training = training
    self.input = input
    self.readsTokens = readsTokens
    self.hasNoise = hasNoise
  }

  /// With those of the training; nil where nobody has counted these.
  private var total: Int? {
    guard let training else { return count }
    return training.rows.map { known in
      let (sum, overflow) = count.addingReportingOverflow(known)
      return overflow ? .max : sum
    }
  }

  private var noun: String { readsTokens ? "token" : "row" }

  private func counted(_ number: Int, _ noun: String) -> String { "\(number) \(number == 1 ? noun : noun + "s")" }

  /// "the host has seen 1200 rows of this deployment under all its keys", with those of the training.
  private var seen: String {
    let seen = "the host has seen \(counted(count, noun)) of this deployment under all its keys"
    guard let training else { return seen }
    let others = training.rows.map { counted($0, readsTokens ? "sample" : "row") } ?? "the rows"
    return "\(seen), and \(others) of the model's training under another, which count as much"
  }

  /// A sentence or two: "the host has seen 1200 rows of this deployment under all its keys. Whoever …".
  package var text: String {
    let uncounted =
      training == nil
      ? " The model's training, predictions and other deployments are not counted."
      : " Predictions and other deployments of the model are not counted."
    guard count > 0 || training != nil else { return "\(seen).\(uncounted)" }
    return "\(seen). \(consequence)\(hasNoise ? " The noise on them stays in what is worked out." : "")\(uncounted)"
  }

  private var consequence: String {
    switch input.group {
    case .trivial: return "Nothing is masked: it has read them."
    case .permutation, .signedPermutation:
      return
        "Their key moves values and leaves them as they are: a single \(noun) known in the clear gives most of it away, and with it all others."
    case .orthogonal:
      let needed = input.knownRowsToKey
      if let total, total <= needed {
        return
          "The key follows from \(needed) \(noun)s known in the clear, more than there are others so far; fewer give the others in part. "
          + "Distances between \(noun)s are plain."
      }
      let others = total.map { "the other \($0 - needed)" } ?? "the others"
      return
        "Whoever knows \(needed) independent ones of them in the clear works out the key by linear algebra, and with it \(others) and every later "
        + "one. Distances between \(noun)s are plain."
    }
  }
}
