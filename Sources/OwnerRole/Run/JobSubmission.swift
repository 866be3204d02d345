import Foundations
import Models
import Numerics
import Protocol

/// Proposes a job and uploads its starting weights.
struct JobSubmission<Element: FloatingElement> {
  let connection: TrainerConnection<Element>
  let description: JobDescription
  /// Of the whole model.
  let specifications: [ParameterSpecification]

  /// Uploads weights where the trainer has none.
  ///
  /// - Parameters:
  ///   - masked: makes tensor number i of `JobDescription.uploads`.
  ///   - uploading: called before the first; not where the trainer has them.
  ///   - progress: chunks sent and in all.
  /// - Returns: whether weights were uploaded, and how many rows and steps of its plan the trainer has stored.
  /// - Throws: `OwnerError.refused` for a job that the trainer does not take, or that its version does not know.
  func send(
    weights masked: (Int) throws -> Tensor<Element>, uploading: () -> Void = {},
    progress: (Int, Int) -> Void = { _, _ in }
  ) throws -> (isUploaded: Bool, rows: Int, steps: Int) {
    guard !description.needsVersion6 || connection.version >= .six else {
      throw OwnerError.refused(
        kind: .refused,
        reason: "it is of a version that computes in float32 alone (wire version \(connection.version.rawValue)); set "
          + "train.precision: float32, or have its operator install this release")
    }
    try connection.send(.submit(description))
    let accepted: (missing: Bool, rows: Int, steps: Int) = try connection.waitFor { message in
      if case .accepted(let missing, let rows, let steps) = message { return (missing, rows, steps) }
      return nil
    }
    if accepted.missing {
      uploading()
      try WeightTransfer(connection: connection, specifications: description.uploads(specifications))
        .upload(masked, progress: progress)
    }
    return (accepted.missing, accepted.rows, accepted.steps)
  }

  /// Takes up a job of inference whose weights are there.
  ///
  /// - Parameter queued: called with its place while it waits for others.
  /// - Returns: parts that may be unanswered, at least 1.
  /// - Throws: `OwnerError.trainerGone` where the trainer took its owner for gone meanwhile and removed the job.
  func attachInference(queued: (Int) -> Void = { _ in }) throws -> Int {
    try connection.send(.attach(historySteps: 0))
    return try connection.waitFor { message in
      switch message {
      case .attached(_, _, let window, _):
        guard window >= 1 else { throw OwnerError.protocolViolation("it takes no rows") }
        return window
      case .queued(let position):
        queued(position)
        return nil
      case .removed: throw Self.isRemoved
      default: return nil
      }
    }
  }

  /// A job of inference ends with the connection of its owner.
  static var isRemoved: OwnerError { .trainerGone("the trainer took this connection for lost, and removed the job") }

  /// Tells the trainer that there is nothing more to infer, and lets it remove the job.
  func endInference() throws {
    try connection.send(.finish)
    try connection.waitFor { message in
      if case .finished = message { return true }
      return nil as Bool?
    }
  }
}
