package import Exposure
import Tensors

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
    var details = errors.filter { [1, 8, 32, truth.rows.columns + 1].contains($0.known) }
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
        Measurement.Detail("most known rows to try", Double(claim.mostToTry)),
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
      guard let most = points.last, let best = points.min(by: { $0.y < $1.y }) else {
        return "No number of known rows was tried."
      }
      // Naming the mean of all rows has an error of 100 %.
      return best.y < 1
        ? "Whoever knows up to \(Int(most.x)) of these rows in the clear works out the others to no better than "
          + "\(ReportNumber.percent(best.y)) % of their spread."
        : "Up to \(Int(most.x)) of these rows in the clear say no more of the others than their mean does."
    }
    let rows = Int(value) == 1 ? "1 of these rows" : "\(Int(value)) of these rows"
    return "Whoever knows \(rows) in the clear can work out all the others to 10 % of their spread, "
      + "and every later row under the same key."
  }
}
