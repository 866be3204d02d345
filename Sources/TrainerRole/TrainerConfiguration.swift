package import Collectives
package import Foundation
package import Numerics
package import Protocol

/// What an operator sets.
package struct TrainerConfiguration: Sendable {
  /// Directory for jobs: descriptions, checkpoints, uploaded rows. Plain files and rename only.
  package var store: URL
  package var compute: Compute
  /// Bytes of memory one job may take; larger jobs are refused before anything is uploaded.
  package var memoryLimit: Int
  /// Bytes of masked rows kept on disk for one job, so that each row need travel only once.
  package var rowStoreLimit: Int
  /// An owner not heard of for this long is taken for gone; its job is saved and the next one runs.
  package var ownerSilence: Duration
  /// Name and version for greetings.
  package var software: String
  /// Where the service and its jobs count what they do.
  package let metrics = TrainerMetrics()
  /// Where what owners do is written down; nil in tests of other things.
  package var audit: AuditLog?
  /// Whose jobs are taken and run, and what each may use.
  package var owners = ServedOwners()
  /// The processes that share every batch; this one is rank 0.
  package var communicator: any Communicator
  /// Called before each piece of slow disk work, on the thread that does it; tests make a disk slow with it.
  package var beforeDiskWork: @Sendable () -> Void = {}
  /// Whether jobs run on replicas, as they must where there are several processes.
  package var usesReplicas: Bool

  package init(
    store: URL, compute: Compute, memoryLimit: Int, rowStoreLimit: Int, ownerSilence: Duration = .seconds(8),
    software: String, communicator: any Communicator = SingleProcessCommunicator()
  ) {
    self.communicator = communicator
    usesReplicas = communicator.size > 1
    self.store = store
    self.compute = compute
    self.memoryLimit = memoryLimit
    self.rowStoreLimit = rowStoreLimit
    self.ownerSilence = ownerSilence
    self.software = software
  }
}

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
