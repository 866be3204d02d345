import Numerics

/// Risks and times of the rows seen, for Harrell's concordance (Harrell et al., Evaluating the yield of medical tests, 1982): 24 bytes a row.
struct ConcordanceRows: Sendable {
  private var rows: [(risk: Double, time: SurvivalTime)] = []

  mutating func add<Element: FloatingElement>(outputs: Tensor<Element>, times: [SurvivalTime]) {
    outputs.withUnsafeBufferPointer { risks in
      for (risk, time) in zip(risks, times) { rows.append((Double(risk), time)) }
    }
  }

  /// The share of comparable pairs in which the row whose event came first has the larger risk, equal risks counting half; nil without such
  /// a pair. A pair is comparable when an event came before the other row's time, or at the same time if that row is censored then.
  var concordance: Double? {
    let risks = Array(Set(rows.map(\.risk))).sorted()
    let places = Dictionary(uniqueKeysWithValues: risks.enumerated().map { ($1, $0) })
    // Latest first, and at one time the censored ones: what has been counted then is what the next event can be compared with.
    let order = rows.sorted { first, second in
      (second.time.time, first.time.isEvent ? 1 : 0) < (first.time.time, second.time.isEvent ? 1 : 0)
    }
    var counts = CumulativeCounts(places: risks.count)
    var pairs = 0
    // Twice the count, so that halves stay whole.
    var doubled = 0
    var waiting: [Int] = []
    for (index, row) in order.enumerated() {
      guard let place = places[row.risk] else { continue }
      if row.time.isEvent {
        let below = counts.sum(below: place)
        pairs += counts.total
        doubled += below + counts.sum(below: place + 1)
        // Events at the same time are not compared with each other.
        waiting.append(place)
      } else {
        counts.add(place)
      }
      let isLastOfTime = index + 1 == order.count || order[index + 1].time.time != row.time.time
      if isLastOfTime {
        for place in waiting { counts.add(place) }
        waiting = []
      }
    }
    return pairs == 0 ? nil : Double(doubled) / (2 * Double(pairs))
  }

  /// Counts by place with their running sums, each in O(log places) (Fenwick, 1994).
  private struct CumulativeCounts {
    private var tree: [Int]
    private(set) var total = 0

    init(places: Int) {
      tree = Array(repeating: 0, count: places + 1)
    }

    mutating func add(_ place: Int) {
      total += 1
      var index = place + 1
      while index < tree.count {
        tree[index] += 1
        index += index & -index
      }
    }

    func sum(below place: Int) -> Int {
      var sum = 0
      var index = place
      while index > 0 {
        sum += tree[index]
        index -= index & -index
      }
      return sum
    }
  }
}
