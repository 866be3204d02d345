import Foundations

/// Where a job stands at the server.
package enum JobState: String, Sendable, Codable, CaseIterable {
  /// Weights or rows are still arriving.
  case uploading
  /// Complete, waiting for its turn.
  case queued
  case running
  /// Started, and its owner is away; a checkpoint is kept.
  case waitingForOwner
  /// Complete, and kept for the questions of a deployment's clients.
  case hosted
  /// All steps are done; the weights wait to be retrieved.
  case finished
  /// Ended by an error that its status tells.
  case failed
}

/// What a server tells of a job to its owner.
package struct JobStatus: Sendable, Equatable, Codable {
  package var state: JobState
  /// Steps applied.
  package var step: Int
  package var totalSteps: Int
  /// Jobs before it in the queue; 0 when it runs or is next.
  package var queuePosition: Int
  /// CPU seconds of the server since it took the job up, all threads.
  package var processorSeconds: Double
  /// Bytes the job takes in the server's store.
  package var storedBytes: Int
  /// Why it failed, when it did.
  package var failure: String?
  /// What its steps were multiplied with; nil from a server that does not say.
  package var kernels: [KernelUse]?

  package init(
    state: JobState, step: Int, totalSteps: Int, queuePosition: Int, storedBytes: Int, processorSeconds: Double = 0,
    failure: String? = nil
  ) {
    self.state = state
    self.step = step
    self.totalSteps = totalSteps
    self.queuePosition = queuePosition
    self.storedBytes = storedBytes
    self.processorSeconds = processorSeconds
    self.failure = failure
  }

  /// The status with its text as it may be shown.
  var printable: JobStatus {
    var status = self
    status.failure = failure?.printable(limit: WireLimits.reasonLength)
    status.kernels = kernels?.prefix(KernelUse.maximumCount).map(\.printable)
    return status
  }
}

/// What a job is multiplied with from one step on. Its bits depend on it, so that it stays the same unless an operator lets the job go on with
/// another.
package struct KernelUse: Sendable, Equatable, Codable {
  /// As many are told of one job.
  package static let maximumCount = 1000

  /// Steps done before.
  package var step: Int
  /// In a few words: "AVX2, OpenBLAS Haswell".
  package var kernel: String

  package init(step: Int, kernel: String) {
    self.step = step
    self.kernel = kernel
  }

  fileprivate var printable: KernelUse {
    KernelUse(step: step, kernel: kernel.printable(limit: WireLimits.nameLength))
  }
}

/// One line of a run's history: a step, or an evaluation at the end of an epoch.
package enum ProgressRecord: Sendable, Equatable, Codable {
  /// `step` counts from 0; `seconds` is wall time since the step before.
  case step(step: Int, loss: Double, learningRate: Double, gradientNorm: Double, seconds: Double)
  /// After `step` steps; metrics by name.
  case evaluation(epoch: Int, step: Int, loss: Double, metrics: [String: Double], kept: Bool, seconds: Double)

  /// The record with the names of its metrics as they may be shown.
  var printable: ProgressRecord {
    guard case .evaluation(let epoch, let step, let loss, let metrics, let kept, let seconds) = self else {
      return self
    }
    let named = metrics.map { ($0.key.printable(limit: WireLimits.nameLength), $0.value) }
    return .evaluation(
      epoch: epoch, step: step, loss: loss, metrics: Dictionary(named, uniquingKeysWith: { first, _ in first }),
      kept: kept, seconds: seconds)
  }

  /// Records in one `progress` message, at most.
  package static let maxPerMessage = 1000
  /// Records that answer one `follow`, at most: an owner that gets so many asks again, so that no history fills its queue.
  package static let maxPerAnswer = 32_000
}
