import Failures

/// What the trainer says of a job to its owner.
package struct JobStatus: Sendable, Equatable, Codable {
  package var state: JobState
  /// Steps applied.
  package var step: Int
  package var totalSteps: Int
  /// Jobs before it in the queue; 0 when it runs or is next.
  package var queuePosition: Int
  /// CPU seconds of the trainer since it took the job up, all threads.
  package var processorSeconds: Double
  /// Bytes the job takes in the trainer's store.
  package var storedBytes: Int
  /// Why it failed, when it did.
  package var failure: String?

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
    return status
  }
}
