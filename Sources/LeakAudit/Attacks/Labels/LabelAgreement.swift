import Foundation
import Numerics

extension LabelInference {
  func classAgreement(_ clusters: [Int], _ classes: [Int32], _ lengths: [Int32]?) -> Measurement {
    // What a cluster was claimed for and has a class.
    let rows = (0..<min(clusters.count, classes.count)).filter { classes[$0] >= 0 && clusters[$0] >= 0 }
    let (claimed, truth) = (rows.map { clusters[$0] }, rows.map { Int(classes[$0]) })
    guard rows.count > 1, Set(truth).count > 1 else {
      return Measurement(value: nil, interval: nil, chance: 0, rows: rows.count)
    }
    let information = AdjustedMutualInformation(items: rows.count)
    let names = Set(claimed).sorted()
    let next = Dictionary(
      uniqueKeysWithValues: names.enumerated().map { ($0.element, names[($0.offset + 1) % names.count]) })
    let interval = LabelGroups(of: rows, lengths: lengths).interval(draws: draws) { rows, wrong in
      information.between(
        rows.map { wrong.contains($0) ? next[clusters[$0]] ?? -1 : clusters[$0] }, rows.map { Int(classes[$0]) })
    }
    return Measurement(
      value: Self.clampedToUnitInterval(information.between(claimed, truth)), interval: interval, chance: 0,
      rows: rows.count,
      details: [
        .init("accuracy under the best matching", ClusterMatching.accuracy(claimed, truth)),
        .init("share of the largest class", ClusterMatching.largestShare(truth)),
        .init("classes", Double(Set(truth).count)),
      ])
  }

  /// Information below that of chance is none, and above 1 there is rounding.
  private static func clampedToUnitInterval(_ value: Double) -> Double { min(1, max(0, value)) }

  /// Of columns with both answers: each is matched with a claimed one so that the sum of agreements is greatest.
  func binaryAgreement(_ columns: [[Int]], _ values: Tensor<Float>, _ lengths: [Int32]?) -> Measurement {
    let width = values.columns
    let truth = (0..<width).map { column in
      (0..<values.rows).map { row in
        let value = values[row * width + column]
        return value.isNaN ? -1 : value > 0.5 ? 1 : 0
      }
    }
    let judged = truth.indices.filter { Set(truth[$0]).isSuperset(of: [0, 1]) }
    guard !judged.isEmpty, columns.count >= judged.count else {
      return Measurement(value: nil, interval: nil, chance: 0, rows: values.rows)
    }
    let information = AdjustedMutualInformation(items: values.rows)
    func agreement(_ column: Int, _ claimed: Int, _ rows: some Sequence<Int>, wrong: Set<Int> = []) -> Double {
      let known = rows.filter { truth[column][$0] >= 0 }
      let claims = known.map { row in
        let claim = columns[claimed][row]
        return wrong.contains(row) && claim >= 0 ? 1 - claim : claim
      }
      return information.between(claims, known.map { truth[column][$0] })
    }
    var scores = Tensor<Double>(zeros: [judged.count, columns.count])
    for (place, column) in judged.enumerated() {
      for claimed in columns.indices { scores[place, claimed] = agreement(column, claimed, 0..<values.rows) }
    }
    let matches = Array(zip(judged, LinearAssignment.maximum(scores)))
    func mean(_ statistic: ((column: Int, claimed: Int)) -> Double) -> Double {
      matches.reduce(0) { $0 + statistic(($1.0, $1.1)) } / Double(matches.count)
    }
    func known(_ column: Int) -> [Int] { (0..<values.rows).filter { truth[column][$0] >= 0 } }
    let groups = LabelGroups(of: Array(0..<values.rows), lengths: lengths)
    return Measurement(
      value: Self.clampedToUnitInterval(mean { agreement($0.column, $0.claimed, 0..<values.rows) }),
      interval: groups.interval(draws: draws) { rows, wrong in
        mean { agreement($0.column, $0.claimed, rows, wrong: wrong) }
      }, chance: 0, rows: values.rows,
      details: [
        .init(
          "accuracy under the best matching",
          mean { match in
            let rows = known(match.column)
            return ClusterMatching.accuracy(
              rows.map { columns[match.claimed][$0] }, rows.map { truth[match.column][$0] })
          }),
        .init(
          "share of the largest class",
          mean { match in ClusterMatching.largestShare(known(match.column).map { truth[match.column][$0] }) }),
        .init("columns", Double(judged.count)),
      ])
  }

  /// Of each column the greatest squared correlation with a claimed one.
  func numberAgreement(_ claimed: Tensor<Double>, _ values: Tensor<Float>, _ lengths: [Int32]?) -> Measurement {
    let count = min(claimed.rows, values.rows)
    func column(_ column: Int) -> [Double] { (0..<count).map { Double(values[$0 * values.columns + column]) } }
    func claim(_ column: Int) -> [Double] { (0..<count).map { claimed[$0 * claimed.columns + column] } }
    let claims = (0..<claimed.columns).map(claim)
    let best = (0..<values.columns).map { number -> (correlation: Double, claimed: Int) in
      let truth = column(number)
      let all = claims.map { abs(Self.correlation($0, truth, 0..<count)) }
      return all.enumerated().map { ($0.element, $0.offset) }.max { $0.0 < $1.0 } ?? (0, 0)
    }
    guard !best.isEmpty, count > 2, claimed.columns > 0 else {
      return Measurement(value: nil, interval: nil, chance: 0, rows: count)
    }
    let truths = (0..<values.columns).map(column)
    let groups = LabelGroups(of: Array(0..<count), lengths: lengths).rows
    var random = SystemRandomNumberGenerator()
    // A correlation of numbers is near 1 only if it is so in every half: there are no errors to be seen or not.
    let interval = Interval.halfSamples(items: groups.count, draws: draws, random: &random) { chosen in
      let items = chosen.flatMap { groups[$0] }
      return best.enumerated().reduce(0) { sum, match in
        let value = Self.correlation(claims[match.element.claimed], truths[match.offset], items)
        return sum + value * value
      } / Double(best.count)
    }
    return Measurement(
      value: Self.clampedToUnitInterval(best.reduce(0) { $0 + $1.correlation * $1.correlation } / Double(best.count)),
      interval: interval.clampedToUnitInterval, chance: 1 / Double(count - 1), rows: count,
      details: [
        .init("mean absolute correlation", best.reduce(0) { $0 + $1.correlation } / Double(best.count))
      ])
  }

  /// Pearson's, of the items in which both are known.
  private static func correlation(_ first: [Double], _ second: [Double], _ items: some Sequence<Int>) -> Double {
    let known = items.filter { first[$0].isFinite && second[$0].isFinite }
    let count = Double(max(1, known.count))
    let means = (known.reduce(0) { $0 + first[$1] } / count, known.reduce(0) { $0 + second[$1] } / count)
    var (both, one, other) = (0.0, 0.0, 0.0)
    for item in known {
      let (left, right) = (first[item] - means.0, second[item] - means.1)
      both += left * right
      one += left * left
      other += right * right
    }
    return one > 0 && other > 0 ? both / (one * other).squareRoot() : 0
  }
}

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
      .clampedToUnitInterval
  }
}
