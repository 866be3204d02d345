import Transport
import Wire

/// A job as it is written to the store.
struct StoredJob: Codable, Sendable {
  enum Phase: String, Codable, Sendable {
    /// Starting weights, or rows of a job whose loss the trainer computes, are still arriving.
    case uploading
    /// Can run whenever its turn comes.
    case ready
    /// All steps done; the last checkpoint holds the result.
    case finished
    case failed
  }

  let id: JobID
  /// The z85 form of the public key that submitted it; nobody else sees the job.
  let owner: String
  let description: JobDescription
  var phase: Phase
  var failure: String?
}
