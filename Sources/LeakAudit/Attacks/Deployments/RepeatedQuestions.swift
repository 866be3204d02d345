import Models
package import Numerics

/// Tells which questions were asked before: without noise equal questions have equal masked rows, and with noise near ones.
package struct RepeatedQuestions: Attack {
  package typealias Knowledge = Void

  package struct Claim: Sendable {
    /// Of each later question the earlier one that is nearest; −1 where the time was up.
    package let nearest: [Int]
    /// Squared, over the mean square of a question.
    package let distances: [Double]
  }

  package static let facts = AttackFacts(
    kind: .repeatedQuestions, title: "Repeated questions", knowledge: "nothing",
    metric: "share of repeated questions linked to when they were asked first", isWorseWhenHigher: true,
    source: "Liu, Giannella and Kargupta, PKDD 2006: an orthogonal key keeps distances")
  /// Relative to the mean square: what rounding leaves of equal questions.
  private static let equality = 1e-10

  private let compute: Compute

  package init(compute: Compute) {
    self.compute = compute
  }

  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) {
    guard evidence.masked.deployment?.later != nil, let repeats = truth.deployment?.repeats else {
      throw Inapplicable("no question was asked twice in what was audited")
    }
    guard repeats.contains(where: { $0 >= 0 }) else { throw Inapplicable("there were too few rows to ask any twice") }
  }

  package func attempt(
    on view: ProviderView, knowing knowledge: Void, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) -> Claim {
    guard let later = view.deployment?.later else { return Claim(nearest: [], distances: []) }
    let first = Self.questions(view.inputs, view.lengths)
    let second = Self.questions(later.inputs, later.lengths)
    let size = max(first.sumOfSquares / Double(max(1, first.rows)), .leastNormalMagnitude)
    var (nearest, distances): ([Int], [Double]) = ([], [])
    for start in stride(from: 0, to: second.rows, by: 256) {
      if deadline.hasPassed { break }
      let block = second.slice(rows: start..<min(second.rows, start + 256))
      let squares = block.squaredDistances(to: first, compute: compute)
      for row in 0..<block.rows {
        let best = (0..<first.rows).min { squares[row, $0] < squares[row, $1] } ?? 0
        nearest.append(best)
        distances.append(squares[row, best] / size)
      }
    }
    let missing = second.rows - nearest.count
    return Claim(
      nearest: nearest + [Int](repeating: -1, count: missing),
      distances: distances + [Double](repeating: .infinity, count: missing))
  }

  package func score(_ claim: Claim, truth: OwnerTruth) -> Measurement {
    let repeats = truth.deployment?.repeats ?? []
    let asked = zip(repeats.indices, repeats).filter { $0.1 >= 0 && $0.0 < claim.nearest.count }
    let plain = Self.questions(truth.rows, truth.deployment?.lengths)
    let right = asked.filter { question, original in
      let found = claim.nearest[question]
      return found >= 0 && (found == original || Self.areEqual(plain, found, original))
    }.count
    let fresh = repeats.indices.filter { repeats[$0] < 0 && $0 < claim.distances.count }
    let border = fresh.map { claim.distances[$0] }.min() ?? .infinity
    var details = [
      Measurement.Detail(
        "share that are equal to rounding",
        Self.share(asked.count { claim.distances[$0.0] < Self.equality }, asked.count))
    ]
    if !fresh.isEmpty {
      details.append(
        .init(
          "share nearer to their first than any new question is to another",
          Self.share(asked.count { claim.distances[$0.0] < border }, asked.count)))
    }
    return Measurement(
      value: Self.share(right, asked.count), interval: .wilson(successes: right, trials: asked.count),
      chance: 1 / Double(max(1, plain.rows)), rows: claim.nearest.count, details: details)
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    let share = ReportNumber.percent(measurement.value ?? 0)
    guard let value = measurement.value, value > 2 * (measurement.chance ?? 0) + 0.02 else {
      return
        "Questions that came again were not told from others by their distances, which proves nothing about a better comparison."
    }
    return
      "The host links \(share) % of the questions that come again to when they came first, whoever asks them under the same key: who asks the "
      + "same, and how often, it knows without any key."
  }

  private static func share(_ part: Int, _ whole: Int) -> Double { Double(part) / Double(max(1, whole)) }

  private static func areEqual(_ rows: Tensor<Double>, _ left: Int, _ right: Int) -> Bool {
    (0..<rows.columns).allSatisfy { rows[left, $0] == rows[right, $0] }
  }

  /// One vector for each question: its row, or the mean of its tokens, which no order of sending changes.
  private static func questions(_ rows: Tensor<Float>, _ lengths: [Int32]?) -> Tensor<Double> {
    guard let lengths else { return rows.converted() }
    let width = rows.columns
    var result = Tensor<Double>(zeros: [lengths.count, width])
    var start = 0
    for (sample, length) in lengths.enumerated() {
      let end = min(rows.rows, start + Int(length))
      for row in start..<end {
        for column in 0..<width { result[sample, column] += Double(rows[row, column]) / Double(end - start) }
      }
      start = end
    }
    return result
  }
}
