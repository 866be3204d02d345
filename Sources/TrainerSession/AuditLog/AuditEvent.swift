package import Transport
package import Wire

/// Something an owner did, or was refused, that an operator may have to answer for. Never holds data.
package struct AuditEvent: Sendable {
  package enum Kind: String, Sendable {
    /// The trainer began, or ended in order.
    case started, stopped
    /// A new job was taken, or its owner came back to one that is here.
    case submitted, resumed
    /// Its owner began to fetch the trained weights.
    case retrieved
    case cancelled, released
    /// Removed for another reason.
    case removed
    /// Stopped and saved because its owner is no longer listed.
    case suspended
    /// A message or a job was turned away.
    case refused
    case connectionAdmitted = "connection_admitted"
    case connectionRefused = "connection_refused"
    /// The list of owners was read again.
    case ownersRead = "owners_read"
    /// A line that a crash left unfinished was put aside.
    case recovered
    /// Events that could neither be written nor kept until they could.
    case unlogged
  }

  package let kind: Kind
  package let owner: OwnerKey?
  package let job: JobID?
  package let reason: String?
  /// Events like this one since the last of them that were only counted.
  package let suppressed: Int

  package init(
    _ kind: Kind, owner: OwnerKey? = nil, job: JobID? = nil, reason: String? = nil, suppressed: Int = 0
  ) {
    self.kind = kind
    self.owner = owner
    self.job = job == JobID.none ? nil : job
    self.reason = reason
    self.suppressed = suppressed
  }
}
