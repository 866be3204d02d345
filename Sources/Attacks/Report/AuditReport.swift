package import Exposure

/// What an audit found: `audit.json` is this, and the page is made of it.
package struct AuditReport: Sendable, Equatable, Codable {
  /// Goes up when a reader of an older one would misread a newer one.
  package static let currentFormat = 2

  package var format: Int
  /// Read first: what no number below speaks of.
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
  /// Whether the observed run ended for want of time, so that every attack had fewer rows than it should have had.
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

  package init(
    job: JobTraits, jobDigest: String, dataDigest: String, checkpointDigest: String? = nil, created: String,
    program: String, rowsSeen: Int, isViewCutShort: Bool = false, publicRows: Int, minutes: Double, seconds: Double,
    attacks: [AttackResult], noiseCost: NoiseCost?, noiseCostMissing: String? = nil
  ) {
    format = Self.currentFormat
    outOfScope = Self.limits
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

  package func result(_ attack: AttackKind) -> AttackResult? {
    attacks.first { $0.attack == attack }
  }

  /// In words, or why it was not measured; nil without noise.
  package var noiseCostText: String? {
    noiseCost.map {
      "\($0.metric) \(ReportNumber.text($0.withNoise)) with it, \(ReportNumber.text($0.withoutNoise)) without"
    } ?? noiseCostMissing
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
