import Architecture

/// One limit of a gate, and what a report has to say to meet it.
///
/// Fails closed: what was asked for and not measured, or not to the end, is not met. Of a value with an interval the end that leaks more
/// is held against the bound.
struct GateLimit: Sendable {
  enum Outcome: Equatable {
    case met
    /// Met because there is nothing to attack; why.
    case nothingToFind(String)
    /// What is wrong and what to do.
    case missed(String)
  }

  let name: String
  let attack: AttackKind
  let bound: Double
  /// Whether the value must be at least the bound, not at most.
  let isLowest: Bool

  /// - Parameter isViewCutShort: whether the attack had fewer rows than it should have had.
  func outcome(_ result: AttackResult?, isViewCutShort: Bool) -> Outcome {
    guard let result else { return missed("the report does not have that attack; make the audit again") }
    switch result.status {
    case .inapplicable: return .nothingToFind("\(asked): nothing to attack, \(result.reason ?? "")")
    case .outOfTime: return missed("there was no time to measure it; give the audit more --minutes")
    case .notMeasured:
      return missed(
        "it was not measured: \(result.reason ?? ""); take the limit out of audit.gate to send the job all the same")
    case .measured:
      guard let masked = result.masked else { return missed("it was not measured; make the audit again") }
      return outcome(masked, metric: result.metric, isViewCutShort: isViewCutShort)
    }
  }

  private func outcome(_ masked: Measurement, metric: String, isViewCutShort: Bool) -> Outcome {
    // What is over the limit already stays so, however much time there was.
    if let value = leak(masked), !(isLowest ? value >= bound : value <= bound) {
      return .missed("\(asked), measured \(text(masked, value)) (\(metric))")
    }
    if isViewCutShort {
      return missed(
        "the observed run was cut short, and attacks had only its first rows; give the audit more --minutes")
    }
    if masked.isCutShort { return missed("the attack was cut short; give the audit more --minutes") }
    if leak(masked) != nil { return .met }
    guard attack == .knownRows else {
      return missed(
        "the attack came to no value on these rows; take the limit out of audit.gate to send the job all the same")
    }
    let tried = masked.mostTried
    guard tried < bound else { return .met }
    return missed(
      "only \(ReportNumber.text(tried)) known rows could be tried on the rows that the audit looks at; "
        + "ask for at most that, or take the limit out of audit.gate")
  }

  /// The value or the end of its interval that leaks more, whichever is worse; nil where there is no value to hold against the bound.
  private func leak(_ masked: Measurement) -> Double? {
    let end = masked.interval.map { isLowest ? $0.lower : $0.upper }
    let values = [masked.value, end].compactMap { $0 }.filter { !$0.isNaN }
    // An interval beside no value may tell of a breach, but does not stand for a value.
    guard masked.value?.isFinite == true || values.contains(where: { isLowest && $0 < bound }) else { return nil }
    return isLowest ? values.min() : values.max()
  }

  private func text(_ masked: Measurement, _ leak: Double) -> String {
    let value = masked.value.map { precise($0) } ?? "not reached"
    guard let interval = masked.interval, leak != masked.value else { return value }
    return "\(value), at 95 % \(ReportNumber.text(interval)): the gate takes the end that leaks more, \(precise(leak))"
  }

  /// As reports show numbers, unless that would look like the bound.
  private func precise(_ value: Double) -> String {
    let short = ReportNumber.text(value)
    return short == ReportNumber.text(bound) ? "\(value)" : short
  }

  private var asked: String { "\(name): \(ReportNumber.text(bound))" }

  private func missed(_ why: String) -> Outcome { .missed("\(asked), but \(why)") }
}

extension Measurement {
  /// The most known rows that an error was found for; 0 for none.
  fileprivate var mostTried: Double {
    curve?.points.filter(\.y.isFinite).map(\.x).max() ?? 0
  }
}
