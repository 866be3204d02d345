package import Architecture

/// Holds a report against the limits that a job sets.
package struct GateCheck: Sendable {
  private struct Limit {
    let name: String
    let attack: AttackKind
    let bound: Double
    let isLowest: Bool
    /// Whether an attempt that reached no value is what the limit asks for.
    let passesUnreached: Bool
  }

  private let limits: [Limit]

  package init(_ gate: AuditGate) {
    func highest(_ name: String, _ attack: AttackKind, _ bound: Double?) -> Limit? {
      bound.map { Limit(name: name, attack: attack, bound: $0, isLowest: false, passesUnreached: false) }
    }
    limits = [
      gate.knownRowsMin.map {
        Limit(name: "known_rows_min", attack: .knownRows, bound: Double($0), isLowest: true, passesUnreached: true)
      },
      highest("spectral_recovery_max", .spectralAlignment, gate.spectralRecoveryMax),
      highest("source_separation_max", .sourceSeparation, gate.sourceSeparationMax),
      highest("linkage_max", .linkage, gate.linkageMax),
      gate.keyErrorMin.map {
        Limit(name: "key_error_min", attack: .baseWeights, bound: $0, isLowest: true, passesUnreached: false)
      },
      highest("token_recovery_max", .tokenMatching, gate.tokenRecoveryMax),
      highest("label_information_max", .labelInference, gate.labelInformationMax),
      highest("matching_max", .matchingGame, gate.matchingMax),
      highest("membership_max", .modelMembership, gate.membershipMax),
    ].compactMap { $0 }
  }

  /// An attack that does not apply passes any limit; one that was not tried, or could not be measured, passes none.
  ///
  /// - Throws: `AuditError.gate` with every limit that is not met.
  package func check(_ report: AuditReport) throws(AuditError) {
    let failures = limits.compactMap { failure($0, report.result($0.attack)) }
    guard failures.isEmpty else { throw .gate(failures) }
  }

  private func failure(_ limit: Limit, _ result: AttackResult?) -> String? {
    let asked = "\(limit.name): \(ReportNumber.text(limit.bound))"
    guard let result, result.status != .outOfTime else {
      return "\(asked), but it was not measured; give the audit more --minutes"
    }
    guard result.status == .measured else { return nil }
    guard let value = result.masked?.value, value.isFinite else {
      return limit.passesUnreached ? nil : "\(asked), but the attack reached no value; give the audit more --minutes"
    }
    let passes = limit.isLowest ? value >= limit.bound : value <= limit.bound
    return passes ? nil : "\(asked), measured \(ReportNumber.text(value)) (\(result.metric))"
  }
}
