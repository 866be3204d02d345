import Foundation

/// What an audit found: `audit.json` is this, and the page is made of it.
package struct AuditReport: Sendable, Equatable, Codable {
  /// Goes up when a reader of an older one would misread a newer one.
  package static let currentFormat = 2

  package var format: Int
  /// Read first: what the numbers below do not cover.
  package var outOfScope: [String]
  package var job: JobTraits
  /// SHA-256 of everything in the resolved job that decides what is seen, of the data file, and of the files of the checkpoint that it
  /// names; nil where it names none.
  package var jobDigest: String
  package var dataDigest: String
  package var checkpointDigest: String?
  /// ISO 8601.
  package var created: String
  package var program: String
  /// Rows in the view: samples, or tokens where samples are sequences.
  package var rowsSeen: Int
  /// Whether the observed run ended early because its time was up, so that every attack had fewer rows than intended.
  package var isViewCutShort: Bool
  /// Rows that the public is assumed to have.
  package var publicRows: Int
  package var minutes: Double
  package var seconds: Double
  package var attacks: [AttackResult]
  /// What the noise of the job costs; nil without noise, or where it was not measured.
  package var noiseCost: NoiseCost?
  /// Why the cost of the job's noise was not measured; nil where it was, and without noise.
  package var noiseCostMissing: String?
  /// Of a deployment's audit, `job` saying what its model is; nil of a job's.
  package var deployment: DeploymentTraits?

  package init(
    job: JobTraits, jobDigest: String, dataDigest: String, checkpointDigest: String? = nil, created: String,
    program: String, rowsSeen: Int, isViewCutShort: Bool = false, publicRows: Int, minutes: Double, seconds: Double,
    attacks: [AttackResult], noiseCost: NoiseCost?, noiseCostMissing: String? = nil,
    deployment: DeploymentTraits? = nil
  ) {
    format = Self.currentFormat
    outOfScope = deployment.map { Self.limits(of: $0) } ?? Self.limits
    self.deployment = deployment
    self.job = job
    self.jobDigest = jobDigest
    self.dataDigest = dataDigest
    self.checkpointDigest = checkpointDigest
    self.created = created
    self.program = program
    self.rowsSeen = rowsSeen
    self.isViewCutShort = isViewCutShort
    self.publicRows = publicRows
    self.minutes = minutes
    self.seconds = seconds
    self.attacks = attacks
    self.noiseCost = noiseCost
    self.noiseCostMissing = noiseCostMissing
  }

  /// What an audit of this kind tries.
  package var attempts: [AttackKind] { deployment == nil ? AttackKind.ofJobs : AttackKind.ofDeployments }

  package func result(_ attack: AttackKind) -> AttackResult? {
    attacks.first { $0.attack == attack }
  }

  /// In words, or why it was not measured; nil without noise.
  package var noiseCostText: String? {
    noiseCost.map {
      "\($0.metric) \(ReportNumber.text($0.withNoise)) with it, \(ReportNumber.text($0.withoutNoise)) without"
    } ?? noiseCostMissing
  }

  private static func limits(of deployment: DeploymentTraits) -> [String] {
    let keys =
      deployment.usesThrowAwayKey
      ? "under the deployment's key, beside a copy under a throw-away one, as a rotation would leave it"
      : "under two keys of the deployment"
    return [
      limits[0],
      "Out of scope: what sizes, counts, lengths and timing tell; a host that deviates from the protocol (answers other questions than it was "
        + "asked, or with other weights); what the training of the model told whoever trained it; clients' own machines.",
      "The attacks saw a sample of rows, asked once and in part again, \(keys); the host sees every question of every client, and all keys of one "
        + "model count as one to it as soon as it holds two copies.",
    ]
  }

  private static let limits = [
    "Masking with a fixed linear key is obfuscation, not semantic security. An attack that fails here has failed in the time it had; "
      + "it proves nothing about a better one.",
    "Out of scope: what sizes, counts, lengths and timing tell; a provider that deviates from the protocol (changes weights or answers to "
      + "make gradients tell more); what several jobs on the same rows tell together; anything outside the trainer's view, such as "
      + "the owner's own machines.",
    "The attacks saw a sample of the job's rows under throw-away keys, and one pass of training over them; the provider sees all rows, every epoch.",
  ]
}

/// What of a deployment a report says; no secret.
package struct DeploymentTraits: Sendable, Equatable, Codable {
  package var id: String
  package var clients: Int
  /// Keys in force: copies of the model at the host.
  package var keys: Int
  /// Whether the other copy is under a key of no deployment, because this one has one key alone in force.
  package var usesThrowAwayKey: Bool

  package init(id: String, clients: Int, keys: Int, usesThrowAwayKey: Bool) {
    self.id = id
    self.clients = clients
    self.keys = keys
    self.usesThrowAwayKey = usesThrowAwayKey
  }
}

/// One row of a report.
package struct AttackResult: Sendable, Equatable, Codable {
  package enum Status: String, Sendable, Codable {
    case measured
    /// There is nothing in this job for it to find; `reason` says why. A gate on it passes.
    case inapplicable
    /// It might find something, and could not be tried; `reason` says why. A gate on it does not pass.
    case notMeasured = "not_measured"
    /// The audit's time was up before it began; a gate on it does not pass.
    case outOfTime = "out_of_time"
  }

  package var attack: AttackKind
  package var title: String
  package var status: Status
  package var reason: String?
  /// What the provider is assumed to know beside what it sees.
  package var knowledge: String
  package var metric: String
  package var isWorseWhenHigher: Bool
  package var masked: Measurement?
  /// The same attempt with nothing masked: what the attack reaches without masking.
  package var unmasked: Measurement?
  /// Of both attempts.
  package var seconds: Double
  package var meaning: String?
  /// Set where the attack fails on the unmasked rows too, so that its failure under masking says nothing about the masking.
  package var caution: String?
  /// What would lower it, and the change in this job that does; `changes` is empty where nothing in a job helps.
  package var advice: String?
  package var changes: [String]
  package var source: String

  package init(_ facts: AttackFacts, status: Status, reason: String? = nil) {
    attack = facts.kind
    title = facts.title
    self.status = status
    self.reason = reason
    knowledge = facts.knowledge
    metric = facts.metric
    isWorseWhenHigher = facts.isWorseWhenHigher
    seconds = 0
    changes = []
    source = facts.source
  }
}

/// Numbers as a report shows them.
package enum ReportNumber {
  /// Three digits that count, without an exponent where it can be helped; "–" for none.
  package static func text(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "–" }
    if value == value.rounded(), abs(value) < 1e6 { return String(Int(value)) }
    let size = abs(value)
    if size >= 100 { return String(format: "%.0f", value) }
    if size >= 10 { return String(format: "%.1f", value) }
    if size >= 0.01 { return String(format: "%.3f", value) }
    return String(format: "%.1e", value)
  }

  /// A share in whole per cent, of any size: what is no number, or too large for one of per cents, is "–".
  static func percent(_ share: Double) -> String {
    let value = (100 * share).rounded()
    return abs(value) < 1e6 ? String(Int(value)) : "–"
  }

  package static func text(_ interval: Interval?) -> String {
    guard let interval else { return "" }
    let lower = text(interval.lower)
    return interval.upper.isFinite ? "\(lower) … \(text(interval.upper))" : "\(lower) or more"
  }

  /// The value with its interval, or what it means to have none, and whether the attempt was cut short.
  package static func text(_ measurement: Measurement?) -> String {
    guard let measurement else { return "–" }
    let mark = measurement.isCutShort ? ", cut short" : ""
    let value = measurement.value.map { text($0) } ?? "not reached"
    return (measurement.interval == nil ? value : "\(value) (\(text(measurement.interval)))") + mark
  }
}
