import Foundation

/// Rows whose labels may hang together, such as the tokens of one sample: what an interval takes for independent.
struct LabelGroups {
  /// Row numbers of each group that has any.
  let rows: [[Int]]

  /// - Parameters:
  ///   - kept: the rows that are judged, ascending.
  ///   - lengths: rows of each sample, one after the other; nil where each row is a sample.
  init(of kept: [Int], lengths: [Int32]?) {
    guard let lengths else {
      rows = kept.map { [$0] }
      return
    }
    var groups: [[Int]] = []
    var (place, end) = (0, 0)
    for length in lengths {
      end += Int(length)
      var group: [Int] = []
      while place < kept.count, kept[place] < end {
        group.append(kept[place])
        place += 1
      }
      if !group.isEmpty { groups.append(group) }
    }
    rows = groups
  }

  /// Of an agreement within 0 … 1: from half samples of the groups; and its lower end is no higher than what it would be if as many groups
  /// were wrong as may be wrong unseen, so that few rows without an error do not pass for certainty.
  ///
  /// Unseen means z²/(n + z²) of n groups: Wilson's upper end for none in n.
  ///
  /// - Parameter agreement: of some rows, with the claims for some of them exchanged for wrong ones.
  func interval(draws: Int, agreement: (_ rows: [Int], _ wrong: Set<Int>) -> Double) -> Interval {
    guard rows.count > 1 else { return Interval(lower: 0, upper: 1) }
    var random = SystemRandomNumberGenerator()
    let halves = Interval.halfSamples(items: rows.count, draws: draws, random: &random) { groups in
      agreement(groups.flatMap { rows[$0] }, [])
    }
    let unseen = Interval.wilson(successes: 0, trials: rows.count).upper
    let wrong = Int((unseen * Double(rows.count)).rounded(.up))
    let trials = max(1, draws / 10)
    let all = rows.flatMap { $0 }
    let withErrors = (0..<trials).reduce(0.0) { sum, _ in
      sum + agreement(all, Set(rows.shuffled(using: &random).prefix(wrong).flatMap { $0 }))
    }
    return halves.union(Interval(lower: min(halves.upper, withErrors / Double(trials)), upper: halves.upper))
      .withinUnity
  }
}
