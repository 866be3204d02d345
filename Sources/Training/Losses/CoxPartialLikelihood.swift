import Foundation

/// How long a row was followed.
package struct SurvivalTime: Sendable, Equatable {
  /// Finite and at least 0, in any unit.
  package let time: Double
  /// Whether the event came then; false where the row was only seen without it until then (censored).
  package let isEvent: Bool

  package init(time: Double, isEvent: Bool) {
    self.time = time
    self.isEvent = isEvent
  }
}

/// The negative log partial likelihood of proportional hazards (Cox, Regression models and life-tables, 1972, eq. 12) over the rows of one
/// batch, ties as Breslow (1974):
///
/// L = Σ over events i of (log Σ_{j: t_j ≥ t_i} exp η_j − η_i).
///
/// A risk set holds rows of the batch alone, so that the sum over batches is not the likelihood of all rows together.
enum CoxPartialLikelihood {
  /// - Parameters:
  ///   - risks: η, one a row: the model's outputs.
  ///   - scale: what the gradient is multiplied by: 1 ÷ the rows that the mean is taken over.
  ///   - gradient: gets scale · ∂L/∂η.
  /// - Returns: L, not scaled; not finite where a risk is not.
  ///
  /// Sums of exponentials are kept as logarithms, so that no risk is too large or too small. The order of the work depends on the times
  /// alone: ties keep the order of the rows.
  static func evaluate<Element: BinaryFloatingPoint>(
    risks: UnsafeBufferPointer<Element>, times: [SurvivalTime], scale: Double,
    gradient: UnsafeMutableBufferPointer<Element>
  ) -> Double {
    // Else the risk of a row that is in no event's risk set would be missed.
    guard risks.allSatisfy(\.isFinite) else { return .nan }
    let order = times.indices.sorted { (times[$0].time, $0) < (times[$1].time, $1) }
    var groups: [Range<Int>] = []
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count, times[order[end]].time == times[order[start]].time { end += 1 }
      groups.append(start..<end)
      start = end
    }
    // Latest first: log Σ exp η over the rows that are still at risk at each group's time.
    var logSums = [Double](repeating: 0, count: groups.count)
    var atRisk = LogSum()
    for index in groups.indices.reversed() {
      for place in groups[index] { atRisk.add(Double(risks[order[place]])) }
      logSums[index] = atRisk.value
    }
    // Earliest first: log Σ 1 ÷ (that sum) over the events so far, which is what a row still at risk adds to the gradient, by exp η.
    var loss = 0.0
    var hazard = LogSum()
    for (index, group) in groups.enumerated() {
      for place in group where times[order[place]].isEvent {
        loss += logSums[index] - Double(risks[order[place]])
        hazard.add(-logSums[index])
      }
      for place in group {
        let row = order[place]
        let expected = exp(Double(risks[row]) + hazard.value)
        gradient[row] = Element((expected - (times[row].isEvent ? 1 : 0)) * scale)
      }
    }
    return loss
  }

  /// log Σ exp x of the numbers added so far; −∞ before the first.
  private struct LogSum {
    private(set) var value = -Double.infinity

    mutating func add(_ number: Double) {
      let (larger, smaller) = number > value ? (number, value) : (value, number)
      value = smaller == -.infinity ? larger : larger + log1p(exp(smaller - larger))
    }
  }
}
