package import Architecture
package import Exposure
package import Tensors

/// What a few rows with their plaintext say of all the others.
///
/// The literature's bound: an orthogonal key of d columns is known entirely from d + 1 independent rows (Liu, Giannella and Kargupta, PKDD
/// 2006), and the error before is what lies outside the known rows' span.
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
  }

  package struct Claim: Sendable {
    package struct Step: Sendable {
      package let known: Int
      /// `[others.count, d]`.
      package let rows: Tensor<Float>
    }

    package let steps: [Step]
    /// Rows of the view that are known at no step, which the claim is of.
    package let others: [Int]
  }

  package static let facts = AttackFacts(
    kind: .knownRows, title: "Known rows", knowledge: "some of the rows with their plaintext",
    metric: "known rows from which the others follow to 10 % of their spread", isWorseWhenHigher: false,
    source: "Schönemann, Psychometrika 31 (1966); Liu, Giannella and Kargupta, PKDD 2006")
  /// Of the relative error: what counts as knowing the other rows.
  package static let threshold = 0.1

  private let workers: Workers
  private let mostOthers: Int

  /// - Parameter mostOthers: rows that are reconstructed at most.
  package init(workers: Workers, mostOthers: Int = 1024) {
    self.workers = workers
    self.mostOthers = mostOthers
  }

  /// 1, 2, 4 … below d + 1, then d + 1 and 2 (d + 1), as far as a fifth of the rows (or `mostOthers`) stays unknown.
  package func knowledge(
    of evidence: Evidence, truth: OwnerTruth, random: inout some RandomNumberGenerator
  ) throws(Inapplicable) -> Knowledge {
    let (rows, columns) = (truth.rows.rows, truth.rows.columns)
    guard rows >= 5 else { throw Inapplicable("there are fewer than five rows: known ones leave too few to work out") }
    let most = rows - max(1, min(mostOthers, rows / 5))
    let powers = sequence(first: 1) { $0 * 2 }.prefix { $0 <= columns }
    let counts = (Array(powers) + [columns + 1, 2 * (columns + 1)]).filter { $0 <= most }
    let order = Array((0..<rows).shuffled(using: &random).prefix(counts.last ?? 1))
    return Knowledge(
      group: evidence.masked.inputGroup, order: order, plaintext: truth.rows.selecting(rows: order), counts: counts)
  }

  package func attempt(
    on view: ProviderView, knowing knowledge: Knowledge, random: inout some RandomNumberGenerator,
    until deadline: Deadline
  ) throws -> Claim {
    let known = Set(knowledge.order)
    let unknown = (0..<view.inputs.rows).filter { !known.contains($0) }.shuffled(using: &random)
    let others = Array(unknown.prefix(mostOthers))
    let wanted = view.inputs.selecting(rows: others).converted(to: Double.self)
    let masked = view.inputs.selecting(rows: knowledge.order).converted(to: Double.self)
    let plain = knowledge.plaintext.converted(to: Double.self)
    let estimator = KnownRowsEstimator(workers: workers)
    var steps: [Claim.Step] = []
    for count in knowledge.counts {
      if !steps.isEmpty && deadline.hasPassed { break }
      let estimates = try estimator.estimates(
        plain: plain.slice(rows: 0..<count), masked: masked.slice(rows: 0..<count), others: wanted,
        group: knowledge.group, random: &random, until: deadline)
      steps.append(Claim.Step(known: count, rows: estimates.converted()))
    }
    return Claim(steps: steps, others: others)
  }

  /// The value's interval is from the least m whose error's own interval (`RelativeError`) begins below the threshold to the least m whose
  /// interval ends below it; nil where none does.
  package func score(_ claim: Claim, truth: OwnerTruth) -> Measurement {
    let plain = truth.rows.selecting(rows: claim.others)
    let errors = claim.steps.map { (known: $0.known, error: RelativeError(of: $0.rows, against: plain)) }
    let reached = errors.first { $0.error.value < Self.threshold }
    let early = errors.first { $0.error.interval.lower < Self.threshold }
    let late = errors.first { $0.error.interval.upper < Self.threshold }
    var details = errors.filter { [1, 8, 32, truth.rows.columns + 1].contains($0.known) }
      .map { Measurement.Detail("relative error with \($0.known) known", $0.error.value) }
    if let reached {
      details += [
        Measurement.Detail("relative error at the value", reached.error.value),
        Measurement.Detail("its interval's lower end", reached.error.interval.lower),
        Measurement.Detail("its interval's upper end", reached.error.interval.upper),
      ]
    }
    if let last = errors.last { details.append(Measurement.Detail("most known rows tried", Double(last.known))) }
    var interval: Interval?
    if let early, let late { interval = Interval(lower: Double(early.known), upper: Double(late.known)) }
    return Measurement(
      value: reached.map { Double($0.known) }, interval: interval, chance: 1,
      rows: claim.others.count + (claim.steps.last?.known ?? 0), details: details,
      curve: Curve(
        horizontal: "known rows", vertical: "relative error of the others", isLogarithmic: true,
        points: errors.map { Curve.Point(x: Double($0.known), y: $0.error.value) }))
  }

  package func meaning(of measurement: Measurement, evidence: Evidence) -> String {
    let last = measurement.curve?.points.last
    guard let value = measurement.value else {
      guard let last else { return "No number of known rows was tried." }
      return "Whoever knows \(Int(last.x)) of these rows in the clear works out the others to no better than "
        + "\(ReportNumber.percent(last.y)) % of their spread."
    }
    let rows = Int(value) == 1 ? "1 of these rows" : "\(Int(value)) of these rows"
    return "Whoever knows \(rows) in the clear can work out all the others to 10 % of their spread, "
      + "and every later row under the same key."
  }
}
