extension Interval {
  /// Of the share of right answers that come in groups and hang together within each: Wilson's score for as many independent answers as would
  /// spread as the groups do (the effective sample size of Kish, Survey Sampling, 1965, section 8.2, as Korn and Graubard, Survey
  /// Methodology 24, 1998, use it), and for no more than there are groups: where all or none are right, nothing tells the two apart.
  ///
  /// - Parameter groups: right answers and all of each; without any, nothing is known.
  package static func wilson(groups: [(right: Int, all: Int)]) -> Interval {
    let groups = groups.filter { $0.all > 0 }
    guard !groups.isEmpty else { return Interval(lower: 0, upper: 1) }
    let count = Double(groups.count)
    let answers = Double(groups.reduce(0) { $0 + $1.all })
    let share = Double(groups.reduce(0) { $0 + $1.right }) / answers
    // Of a ratio of two sums, by linearization (Cochran, Sampling Techniques, 3rd ed. 1977, section 6.3).
    let scatter = groups.reduce(0) { sum, group in
      let residual = Double(group.right) - share * Double(group.all)
      return sum + residual * residual
    }
    let variance = count / max(1, count - 1) * scatter / (answers * answers)
    let effective = variance > 0 ? min(count, share * (1 - share) / variance) : count
    return wilson(share: share, trials: max(1, effective))
  }

  /// The least interval that holds both.
  package func union(_ other: Interval) -> Interval {
    Interval(lower: min(lower, other.lower), upper: max(upper, other.upper))
  }

  /// What of it lies within 0 … 1; for a metric that cannot be beyond, which rounding or a draw may be.
  package var withinUnity: Interval { Interval(lower: min(1, max(0, lower)), upper: min(1, max(0, upper))) }
}
