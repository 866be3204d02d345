/// What one sum over the sites is of, in the order in which a federation takes them.
package enum SumPurpose: Sendable, Hashable, CustomStringConvertible {
  /// Sums of each column over all training rows, and the number of rows.
  case means
  /// Sums of squared differences from those means.
  case deviations
  /// Training rows of each class.
  case classCounts
  /// The updates of round `round`, from 0, with the scores of the model that it starts from where sites report such.
  case update(round: Int)
  /// The scores of the model after `rounds` rounds, where sites report such.
  case evaluation(rounds: Int)

  /// One name for each, as it stands in requests and records.
  package var description: String {
    switch self {
    case .means: "means"
    case .deviations: "deviations"
    case .classCounts: "class counts"
    case .update(let round): "update \(round)"
    case .evaluation(let rounds): "evaluation \(rounds)"
    }
  }

  /// Nil for what is no such name.
  package init?(_ text: String) {
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    let number = words.count == 2 ? Int(words[1]).flatMap { $0 >= 0 ? $0 : nil } : nil
    switch (text, words.first, number) {
    case ("means", _, _): self = .means
    case ("deviations", _, _): self = .deviations
    case ("class counts", _, _): self = .classCounts
    case (_, "update", let round?): self = .update(round: round)
    case (_, "evaluation", let rounds?): self = .evaluation(rounds: rounds)
    default: return nil
    }
    guard description == text else { return nil }
  }

  /// Whether the sites need what the sum came to, and are told it.
  package var isPooled: Bool {
    switch self {
    case .means, .deviations, .classCounts: true
    case .update, .evaluation: false
    }
  }

  /// The model that sites need for it, by the rounds it has had; nil for none.
  package var model: Int? {
    switch self {
    case .means, .deviations, .classCounts: nil
    case .update(let round): round
    case .evaluation(let rounds): rounds
    }
  }
}
