package import Foundations
package import Collectives
package import Numerics
import Protocol
package import Service

/// What an operator sets.
package struct TrainerConfiguration: Sendable {
  /// The server as its messages, files and metrics name it.
  package static let program = "trainer"

  /// What holds for every server: store, owners, event log.
  package var service: ServiceConfiguration
  package var compute: Compute
  /// Bytes of memory that running jobs may take together; a job that is larger alone is refused before anything is uploaded.
  package var memoryLimit: Int
  /// Bytes of masked rows kept on disk for one job, so that each row need travel only once.
  package var rowStoreLimit: Int
  /// Bytes of memory that the models and sessions of all deployments may take, beside the jobs'.
  package var deploymentMemory = 8 << 30
  /// How long a copy of a model that no deployment knows outlives its owner's connection.
  package var forgottenCopies = Duration.seconds(600)
  /// Lines that a deployment's log of questions may have beyond twice those that it needs, before it is written anew.
  package var deploymentLogLines = 100_000
  /// What answers questions, beside the jobs' own.
  package var inferenceCompute: Compute
  /// Name and version for greetings.
  package var software: String
  /// Where the service and its jobs count what they do.
  package let metrics = TrainerMetrics()
  package let deploymentMetrics = DeploymentMetrics()
  /// The processes that share every batch; this one is rank 0.
  package var communicator: any Communicator
  /// Whether jobs run on replicas, as they must where there are several processes.
  package var usesReplicas: Bool
  /// What jobs can be multiplied with here.
  package var kernels = AvailableKernels()
  /// Whether a job that began with a kernel which is not here goes on with another.
  package var allowsOtherKernel = false

  package init(
    service: ServiceConfiguration, compute: Compute, memoryLimit: Int, rowStoreLimit: Int, software: String,
    communicator: any Communicator = SingleProcessCommunicator()
  ) {
    self.service = service
    self.communicator = communicator
    usesReplicas = communicator.size > 1
    self.compute = compute
    inferenceCompute = Compute(threads: compute.workers.threads)
    self.memoryLimit = memoryLimit
    self.rowStoreLimit = rowStoreLimit
    self.software = software
  }

  /// How many replicas share each batch; nil where jobs run without.
  var replicas: Int? { usesReplicas ? communicator.size : nil }

  /// - Throws: `ServiceError` of kind `.usage` for several jobs at once on ranks, which take one job's commands at a time.
  package static func check(jobsAtOnce: Int, areReplicated: Bool) throws(ServiceError) {
    guard jobsAtOnce > 1, areReplicated else { return }
    throw ServiceError(
      .usage,
      "--jobs \(jobsAtOnce) with several ranks: all ranks work on one job at a time; leave --jobs out (jobs take turns), or start a trainer of "
        + "one process")
  }
}

/// What a trainer does beside what every server does, for its log. Owners appear by the first characters of their public key.
package enum TrainingEvent: Sendable {
  case jobAccepted(job: JobID, owner: String, parameters: Int, steps: Int)
  case progress(job: JobID, step: Int, totalSteps: Int, rowsPerSecond: Double)
  /// How long a sum of all gradients over all ranks takes when nothing else is done.
  case reductionMeasured(job: JobID, ranks: Int, bytes: Int, seconds: Double)
  /// Of one step's sum, on average: seconds that even the last rank to come had to wait, after its backward pass, and seconds that the
  /// first one waited for the last.
  case reductions(job: JobID, steps: Int, exposed: Double, imbalance: Double)
  case checkpoint(job: JobID, step: Int, seconds: Double)
  /// What a job that was started is multiplied with.
  case multiplies(job: JobID, kernel: String, precision: String)
  /// A job goes on with another kernel than it had before this step.
  case kernelChanged(job: JobID, step: Int, from: String, to: String)
  /// A deployment was put in force, or changed.
  case deployed(deployment: JobID, owner: String, revision: Int, clients: Int, copies: Int)
}

package typealias TrainerEvent = ServiceEvent<TrainingEvent>
