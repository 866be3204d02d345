package import Foundations
package import Models

/// Holds a report against the limits that a job sets.
package struct GateCheck: Sendable {
  private let limits: [GateLimit]

  package init(_ gate: AuditGate) {
    func highest(_ name: String, _ attack: AttackKind, _ bound: Double?) -> GateLimit? {
      bound.map { GateLimit(name: name, attack: attack, bound: $0, isLowest: false) }
    }
    func lowest(_ name: String, _ attack: AttackKind, _ bound: Double?) -> GateLimit? {
      bound.map { GateLimit(name: name, attack: attack, bound: $0, isLowest: true) }
    }
    limits = [
      lowest("known_rows_min", .knownRows, gate.knownRowsMin.map(Double.init)),
      highest("spectral_recovery_max", .spectralAlignment, gate.spectralRecoveryMax),
      highest("source_separation_max", .sourceSeparation, gate.sourceSeparationMax),
      highest("linkage_max", .linkage, gate.linkageMax),
      lowest("key_error_min", .baseWeights, gate.keyErrorMin),
      highest("token_recovery_max", .tokenMatching, gate.tokenRecoveryMax),
      highest("label_information_max", .labelInference, gate.labelInformationMax),
      highest("matching_max", .matchingGame, gate.matchingMax),
      highest("membership_max", .modelMembership, gate.membershipMax),
      highest("repeated_questions_max", .repeatedQuestions, gate.repeatedQuestionsMax),
      lowest("copies_error_min", .copies, gate.copiesErrorMin),
      highest("cache_max", .generationCache, gate.cacheMax),
    ].compactMap { $0 }
  }

  /// - Returns: the limits that are met only because there is nothing to attack, as a sentence each without a full stop.
  /// - Throws: `AuditError.gate` with every limit that is not met: the attack found too much, or was not measured to its end.
  @discardableResult
  package func check(_ report: AuditReport) throws(AuditError) -> [String] {
    var (failures, notices): ([String], [String]) = ([], [])
    for limit in limits {
      guard report.attempts.contains(limit.attack) else {
        notices.append(limit.notice(isDeployment: report.deployment != nil))
        continue
      }
      switch limit.outcome(report.result(limit.attack), isViewCutShort: report.isViewCutShort) {
      case .met: break
      case .nothingToFind(let notice): notices.append(notice)
      case .missed(let failure): failures.append(failure)
      }
    }
    guard failures.isEmpty else { throw .gate(failures) }
    return notices
  }
}

/// One limit of a gate, and what a report has to say to meet it.
///
/// Fails closed: what was asked for and not measured, or not to the end, is not met. Of a value with an interval the end that leaks more
/// is held against the bound.
struct GateLimit: Sendable {
  enum Outcome: Equatable {
    case met
    /// Met because there is nothing to attack, with the reason.
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
        "it was not measured: \(result.reason ?? ""); remove the limit from audit.gate to send the job anyway")
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
        "the attack gave no value on these rows; remove the limit from audit.gate to send the job anyway")
    }
    let tried = masked.maxTried
    guard tried < bound else { return .met }
    return missed(
      "only \(ReportNumber.text(tried)) known rows could be tried on the rows that the audit looks at; "
        + "ask for at most that, or remove the limit from audit.gate")
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

  /// Of a limit on what an audit of this kind does not try.
  func notice(isDeployment: Bool) -> String {
    "\(asked): nothing to attack, "
      + (isDeployment
        ? "it is of training, and a deployment is only asked" : "it is of a deployment, and a job is asked nothing")
  }

  private var asked: String { "\(name): \(ReportNumber.text(bound))" }

  private func missed(_ why: String) -> Outcome { .missed("\(asked), but \(why)") }
}

extension Measurement {
  /// The most known rows that an error was found for; 0 for none.
  fileprivate var maxTried: Double {
    curve?.points.filter(\.y.isFinite).map(\.x).max() ?? 0
  }
}

/// Why a job with a gate may not be sent.
package enum AuditError: Failure, Equatable {
  /// No audit was made, or not there.
  case missing(String)
  /// What is there cannot be read; `reason` is the operating system's.
  case closed(String, reason: String)
  /// What is there is no report of this version.
  case unreadable(String)
  /// The report is of another job, other data or another checkpoint, or was made by another version.
  case otherSubject(path: String, difference: String)
  /// Limits of the gate that the report does not meet, each as a sentence.
  case gate([String])

  package var kind: FailureKind { .checkFailed }

  package var description: String {
    switch self {
    case .missing(let path):
      "the job's audit.gate needs an audit, and there is no \(path); make one with `encryptor audit`, or name its directory with --audit"
    case .closed(let path, let reason):
      "the job's audit.gate needs its audit, and \(path) cannot be read: \(reason)"
    case .unreadable(let path):
      "\(path) is no report that this version can read; make the audit again with `encryptor audit`"
    case .otherSubject(let path, let difference):
      "\(path) is an audit of something else: \(difference). Make one of this job with `encryptor audit`"
    case .gate(let failures):
      "the audit does not pass the job's audit.gate: " + failures.joined(separator: "; ")
    }
  }
}
