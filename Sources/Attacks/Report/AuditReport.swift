package import Exposure

/// What an audit found: `audit.json` is this, and the page is made of it.
package struct AuditReport: Sendable, Equatable, Codable {
  /// Goes up when a reader of an older one would misread a newer one.
  package static let currentFormat = 1

  package var format: Int
  /// Read first: what no number below speaks of.
  package var outOfScope: [String]
  package var job: JobTraits
  /// SHA-256 of everything in the resolved job that decides what is seen, and of the data file.
  package var jobDigest: String
  package var dataDigest: String
  /// ISO 8601.
  package var created: String
  package var program: String
  /// Rows in the view: samples, or tokens where samples are sequences.
  package var rowsSeen: Int
  /// Rows that the public is assumed to have.
  package var publicRows: Int
  package var minutes: Double
  package var seconds: Double
  package var attacks: [AttackResult]
  /// What the noise of the job costs; nil without noise.
  package var noiseCost: NoiseCost?

  package init(
    job: JobTraits, jobDigest: String, dataDigest: String, created: String, program: String, rowsSeen: Int,
    publicRows: Int, minutes: Double, seconds: Double, attacks: [AttackResult], noiseCost: NoiseCost?
  ) {
    format = Self.currentFormat
    outOfScope = Self.limits
    self.job = job
    self.jobDigest = jobDigest
    self.dataDigest = dataDigest
    self.created = created
    self.program = program
    self.rowsSeen = rowsSeen
    self.publicRows = publicRows
    self.minutes = minutes
    self.seconds = seconds
    self.attacks = attacks
    self.noiseCost = noiseCost
  }

  package func result(_ attack: AttackKind) -> AttackResult? {
    attacks.first { $0.attack == attack }
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
