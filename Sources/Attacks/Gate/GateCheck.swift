package import Architecture

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
    ].compactMap { $0 }
  }

  /// - Returns: the limits that are met only because there is nothing to attack, as a sentence each without a full stop.
  /// - Throws: `AuditError.gate` with every limit that is not met: the attack found too much, or was not measured to its end.
  @discardableResult
  package func check(_ report: AuditReport) throws(AuditError) -> [String] {
    var (failures, notices): ([String], [String]) = ([], [])
    for limit in limits {
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
