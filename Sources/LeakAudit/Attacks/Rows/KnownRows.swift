package import Models
package import Numerics

/// What a few rows with their plaintext say of all the others.
///
/// An orthogonal key of d columns is known entirely from d independent rows (`KeyPlanRow.knownRowsToKey`; the literature's d + 1, of Liu, Giannella and
/// Kargupta, PKDD 2006, is for a shift of unknown length, and here it adds 1 to every inner product). The error before is what lies outside the known rows' span.
package struct KnownRows: Attack {
  package struct Knowledge: Sendable {
    /// Which kind of key the masked job's input has: the protocol says it.
    package let group: SymmetryGroup
    /// Rows of the view in the order they become known: the first m are the m known rows.
    package let order: [Int]
    /// Their plaintext, `[order.count, d]`.
    package let plaintext: Tensor<Float>
    /// Numbers of known rows to try, ascending.
    package let counts: [Int]
    /// More rows with their plaintext, `[searchRows.count, d]`, known at no step. The error on them says which number of known rows to try
    /// next; it is in no reported error.
    package let searchRows: [Int]
    package let searchPlaintext: Tensor<Float>
  }

  package struct Claim: Sendable {
    package struct Step: Sendable {
      package let known: Int
      /// `[others.count, d]`.
      package let rows: Tensor<Float>
    }

    /// By ascending numbers of known rows.
    package let steps: [Step]
    /// Rows of the view that are known at no step, which the claim is of.
    package let others: [Int]
    /// The greatest number of known rows there was to try; less where time was short.
    package let maxKnown: Int
  }

  package static let facts = AttackFacts(
    kind: .knownRows, title: "Known rows", knowledge: "some of the rows with their plaintext",
    metric: "known rows from which the others follow to 10 % of their spread", isWorseWhenHigher: false,
    source: "Schönemann, Psychometrika 31 (1966); Liu, Giannella and Kargupta, PKDD 2006")
  /// Of the relative error: what counts as knowing the other rows.
  package static let threshold = 0.1
  private static let maxSearchRows = 256
  /// Rows that are reconstructed at most.
  private static let maxOthers = 1024

  private let compute: Compute

  package init(compute: Compute) {
    self.compute = compute
  }

  /// 1, 2, 4 … below d, then d and 2 d, as far as a fifth of the rows (or `maxOthers`) stays unknown; a quarter of those left
  /// says which numbers between to try.
  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Knowledge {
    let (rows, columns) = (truth.rows.rows, truth.rows.columns)
    guard rows >= 5 else { throw Inapplicable("there are fewer than five rows: known ones leave too few to work out") }
    let maxKnown = rows - max(1, min(Self.maxOthers, rows / 5))
    let powers = sequence(first: 1) { $0 * 2 }.prefix { $0 < columns }
    let counts = (Array(powers) + [columns, 2 * columns]).filter { $0 <= maxKnown }
    let shuffled = (0..<rows).shuffled(using: &random)
    let known = counts.last ?? 1
    let order = Array(shuffled.prefix(known))
    let searchRows = Array(shuffled[known...].prefix(min(Self.maxSearchRows, (rows - known) / 4)))
    return Knowledge(
      group: evidence.masked.inputGroup, order: order, plaintext: truth.rows.selecting(rows: order), counts: counts,
      searchRows: searchRows, searchPlaintext: truth.rows.selecting(rows: searchRows))
  }

  package func attempt(
    on view: ProviderView, knowing knowledge: Knowledge, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> Claim {
    let taken = Set(knowledge.order + knowledge.searchRows)
    let unknown = (0..<view.inputs.rows).filter { !taken.contains($0) }.shuffled(using: &random)
    let others = Array(unknown.prefix(Self.maxOthers))
    let wanted = view.inputs.selecting(rows: others + knowledge.searchRows).converted(to: Double.self)
    let masked = view.inputs.selecting(rows: knowledge.order).converted(to: Double.self)
    let plain = knowledge.plaintext.converted(to: Double.self)
    let estimator = KnownRowsEstimator(compute: compute)
    var steps: [Claim.Step] = []
    var search = KnownRowsSearch(counts: knowledge.counts, bisects: knowledge.searchRows.count > 1)
    while let count = search.next, steps.isEmpty || !deadline.hasPassed {
      let estimates: Tensor<Float> = try estimator.estimates(
        plain: plain.slice(rows: 0..<count), masked: masked.slice(rows: 0..<count), others: wanted,
        group: knowledge.group, random: &random, until: deadline
      ).converted()
      steps.append(Claim.Step(known: count, rows: estimates.slice(rows: 0..<others.count)))
      let judged = RelativeError(
        of: estimates.slice(rows: others.count..<estimates.rows), against: knowledge.searchPlaintext)
      search.add(isReached: judged.value < Self.threshold)
    }
    return Claim(
      steps: steps.sorted { $0.known < $1.known }, others: others, maxKnown: knowledge.counts.last ?? 1)
  }
}

extension KnownRows {
  /// The interval begins above the greatest m whose error is certainly not below the threshold (by its own interval, `RelativeError`), and ends
  /// at the least m whose error certainly is; without end where none is. So it has room both for the rows that were judged and for the
  /// numbers that were not tried. A number of rows has no chance level.
  package func score(_ claim: Claim, truth: OwnerTruth) -> Measurement {
    let plain = truth.rows.selecting(rows: claim.others)
    let errors = claim.steps.map { (known: $0.known, error: RelativeError(of: $0.rows, against: plain)) }
    let reached = errors.first { $0.error.value < Self.threshold }
    let late = errors.first { $0.error.interval.upper < Self.threshold }
    let early = errors.last { $0.known < late?.known ?? .max && $0.error.interval.lower >= Self.threshold }
    var details = errors.filter { [1, 8, 32, truth.rows.columns].contains($0.known) }
      .map { Measurement.Detail("relative error with \($0.known) known", $0.error.value) }
    if let judged = reached ?? errors.last {
      let place = reached == nil ? "the most known rows tried" : "the value"
      details += [
        Measurement.Detail("relative error at \(place)", judged.error.value),
        Measurement.Detail("its interval's lower end", judged.error.interval.lower),
        Measurement.Detail("its interval's upper end", judged.error.interval.upper),
      ]
    }
    if let last = errors.last {
      details += [
        Measurement.Detail("most known rows tried", Double(last.known)),
        Measurement.Detail("most known rows to try", Double(claim.maxKnown)),
      ]
    }
    return Measurement(
      value: reached.map { Double($0.known) },
      interval: errors.isEmpty
        ? nil : Interval(lower: Double((early?.known ?? 0) + 1), upper: late.map { Double($0.known) } ?? .infinity),
      chance: nil, rows: claim.others.count + (claim.steps.last?.known ?? 0), details: details,
      curve: Curve(
        horizontal: "known rows", vertical: "relative error of the others", isLogarithmic: true,
        points: errors.map { Curve.Point(x: Double($0.known), y: $0.error.value) }))
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    let points = measurement.curve?.points ?? []
    guard let value = measurement.value else {
      guard let last = points.last, let best = points.min(by: { $0.y < $1.y }) else {
        return "No number of known rows was tried."
      }
      // Naming the mean of all rows has an error of 100 %.
      return best.y < 1
        ? "Whoever knows up to \(Int(last.x)) of these rows in the clear works out the others to no better than "
          + "\(ReportNumber.percent(best.y)) % of their spread."
        : "Up to \(Int(last.x)) of these rows in the clear say no more of the others than their mean does."
    }
    let rows = Int(value) == 1 ? "1 of these rows" : "\(Int(value)) of these rows"
    return "Whoever knows \(rows) in the clear can work out all the others to 10 % of their spread, "
      + "and every later row under the same key."
  }
}

/// Which numbers of known rows are tried, and in which order: up by the given ones until the first that is enough, then between it and the
/// one before, then the rest of the given ones.
///
/// The least number that is enough is so found to within a sixteenth, or exactly below 32, for four more trials or so.
struct KnownRowsSearch {
  private static let resolution = 16

  private var left: ArraySlice<Int>
  private let bisects: Bool
  /// The greatest number that was not enough, the least that was, and the one under way.
  private var tooFew = 0
  private var enough: Int?
  /// Nil when all is tried.
  private(set) var next: Int?

  /// - Parameter counts: ascending.
  init(counts: [Int], bisects: Bool) {
    left = counts[...]
    self.bisects = bisects
    next = left.popFirst()
  }

  /// - Parameter isReached: whether `next` was enough.
  mutating func add(isReached: Bool) {
    guard let tried = next else { return }
    if isReached {
      enough = min(tried, enough ?? tried)
    } else if tried < enough ?? .max {
      tooFew = max(tooFew, tried)
    }
    if bisects, let enough, enough - tooFew > max(1, enough / Self.resolution) {
      next = tooFew + (enough - tooFew) / 2
    } else {
      next = left.popFirst()
    }
  }
}
