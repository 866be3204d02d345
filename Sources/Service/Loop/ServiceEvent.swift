package import Protocol

/// What a server does, for its log. Owners appear by the first characters of their public key.
package enum ServiceEvent<Role: Sendable>: Sendable {
  case jobStarted(job: JobID, step: Int)
  case jobQueued(job: JobID, position: Int)
  /// The job stopped before its end and can be resumed.
  case jobPaused(job: JobID, step: Int, reason: String)
  /// The server is to stop, and the job's step or checkpoint takes its time.
  case stopAwaited(job: JobID, seconds: Int)
  case jobFinished(job: JobID, steps: Int)
  case jobRemoved(job: JobID, reason: String)
  case jobFailed(job: JobID, reason: String)
  case ownerGreeted(owner: String, software: String)
  case ownerSilent(owner: String, job: JobID)
  /// The owner is no longer listed; its job, if it ran, stops at the end of a step and is kept.
  case ownerRemoved(owner: String, job: JobID)
  /// A message, a job or a peer was turned away; `job` is `none` where it is about no job.
  case refused(owner: String?, job: JobID, reason: String)
  /// What this kind of server alone does.
  case role(Role)
}
