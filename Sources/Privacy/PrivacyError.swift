package import Foundations

/// What the accountants refuse. Every case is a request that a person can change.
package enum PrivacyError: Failure, Equatable {
  /// A setting outside its range. `name` is the setting, `range` what is accepted: "above 0 and at most 1".
  case outOfRange(name: String, value: Double, range: String)
  /// A count outside its range.
  case countOutOfRange(name: String, value: Int, range: String)
  /// Nothing to account for: a list of mechanisms or of orders that is empty.
  case empty(String)
  /// More different mechanisms than grids of privacy losses are kept for.
  case tooManyMechanisms(count: Int, limit: Int)
  /// The grid of privacy losses would have more cells than allowed. `neededError` is an error of ε that fits, if one does.
  case gridTooFine(epsilonError: Double, maximumCells: Int, neededError: Double?)
  /// The privacy losses of these steps are too large for a grid, that is, ε is far from any that protects.
  case lossTooLarge(bound: Double, limit: Double)
  /// δ is so small that the error of δ, of which `roundoff` comes from the arithmetic, hides it.
  case deltaTooSmall(delta: Double, error: Double, roundoff: Double)
  /// No noise multiplier in the range keeps to ε. `reached` is ε with the largest noise.
  case notReachable(epsilon: Double, delta: Double, largest: Double, reached: Double)
  /// What is spent beside the noise that is looked for passes ε already.
  case alreadySpent(epsilon: Double, delta: Double, spent: Double)

  package var kind: FailureKind { .usage }

  package var description: String {
    switch self {
    case .outOfRange(let name, let value, let range):
      "\(name) is \(value); it must be \(range)"
    case .countOutOfRange(let name, let value, let range):
      "\(name) is \(value); it must be \(range)"
    case .empty(let what):
      "there is no \(what) to account for; give at least one"
    case .tooManyMechanisms(let count, let limit):
      """
      \(count) different pairs of noise multiplier and sample rate are more than the \(limit) whose privacy losses are \
      composed; use fewer different ones
      """
    case .gridTooFine(let epsilonError, let maximumCells, let neededError):
      """
      an error of ε of \(QuantityText.scientific(epsilonError)) needs a grid of more than \(maximumCells) cells; \
      \(neededError.map { "allow an error of \($0) or more" } ?? "take fewer steps"), or allow more cells
      """
    case .lossTooLarge(let bound, let limit):
      """
      the privacy loss of these steps reaches \(QuantityText.scientific(bound)), above \(limit) where a grid of losses ends; \
      raise the noise multiplier or take fewer steps
      """
    case .deltaTooSmall(let delta, let error, let roundoff):
      """
      δ \(delta) cannot be told from 0 with an error of δ of \(QuantityText.scientific(error)) and rounding of \(QuantityText.scientific(roundoff)); \
      raise δ or take fewer steps
      """
    case .notReachable(let epsilon, let delta, let largest, let reached):
      """
      no noise multiplier up to \(largest) keeps to ε \(epsilon) at δ \(delta): with \(largest) ε is \(reached); \
      raise ε or δ, sample fewer records or take fewer steps
      """
    case .alreadySpent(let epsilon, let delta, let spent):
      """
      ε \(epsilon) at δ \(delta) is passed before the first step: \(spent) is spent already; \
      raise ε, or give the other releases more noise
      """
    }
  }
}
