package import Collectives
package import Foundation
package import Tensors

/// What an operator sets.
package struct TrainerConfiguration: Sendable {
  /// Directory for jobs: descriptions, checkpoints, uploaded rows. Plain files and rename only.
  package var store: URL
  package var workers: Workers
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
    store: URL, workers: Workers, memoryLimit: Int, rowStoreLimit: Int, ownerSilence: Duration = .seconds(8),
    software: String, communicator: any Communicator = SingleProcessCommunicator()
  ) {
    self.communicator = communicator
    usesReplicas = communicator.size > 1
    self.store = store
    self.workers = workers
    self.memoryLimit = memoryLimit
    self.rowStoreLimit = rowStoreLimit
    self.ownerSilence = ownerSilence
    self.software = software
  }
}
