package import Wire

/// What a trainer does, for its log. Owners appear by the first characters of their public key.
package enum TrainerEvent: Sendable {
  case jobAccepted(job: JobID, owner: String, parameters: Int, steps: Int)
  case jobStarted(job: JobID, step: Int)
  case jobQueued(job: JobID, position: Int)
  case progress(job: JobID, step: Int, totalSteps: Int, rowsPerSecond: Double)
  /// How long a sum of all gradients over all ranks takes when nothing else is done.
  case reductionMeasured(job: JobID, ranks: Int, bytes: Int, seconds: Double)
  /// Of one step's sum, on average: seconds that even the last rank to come had to wait, after its backward pass, and seconds that the
  /// first one waited for the last.
  case reductions(job: JobID, steps: Int, exposed: Double, imbalance: Double)
  case checkpoint(job: JobID, step: Int, seconds: Double)
  /// The job stopped before its end and can be resumed.
  case jobPaused(job: JobID, step: Int, reason: String)
  /// The trainer is to stop, and the job's step or checkpoint takes its time.
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
}
