import LeakAudit
import Models

/// A report with chosen outcomes.
enum SampleReport {
  static func with(
    _ results: [AttackResult], name: String = "sample", isCutShort: Bool = false, deployment: DeploymentTraits? = nil
  ) -> AuditReport {
    AuditReport(
      job: .sample(name: name),
      jobDigest: String(repeating: "a", count: 64), dataDigest: String(repeating: "b", count: 64),
      created: "2026-01-01T00:00:00Z", program: "test", rowsSeen: 50, isViewCutShort: isCutShort,
      publicRows: 25, minutes: 1, seconds: 1,
      attacks: results, noiseCost: nil, deployment: deployment)
  }

  static func result(_ kind: AttackKind, _ value: Double?, status: AttackResult.Status = .measured) -> AttackResult {
    var result = AttackResult(
      AttackFacts(
        kind: kind, title: "Title", knowledge: "nothing", metric: "share", isWorseWhenHigher: true, source: "none"),
      status: status)
    if status == .measured {
      result.masked = Measurement(value: value, interval: nil, chance: 0, rows: 50)
      result.unmasked = Measurement(value: 1, interval: nil, chance: 0, rows: 50)
    }
    return result
  }

  /// Errors for these numbers of known rows, none of which gives the others away where `value` is nil.
  static func knownRows(_ value: Double?, tried: [Double]) -> AttackResult {
    var result = result(.knownRows, value)
    result.masked?.curve = Curve(
      horizontal: "known rows", vertical: "error", isLogarithmic: true, points: tried.map { .init(x: $0, y: 0.9) })
    return result
  }
}

extension JobTraits {
  /// A job of which attacks need to know nothing in particular.
  static func sample(name: String = "sample") -> JobTraits {
    JobTraits(
      name: name, task: .classification, strength: .rotation, readsTokens: false, shufflesTokens: false, baseModel: nil,
      lossLocation: .owner, noise: nil, adapterWidth: nil, rows: 100, features: 10, epochs: 2)
  }
}
