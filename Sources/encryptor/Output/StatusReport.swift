import Wire

/// `status --json`.
struct StatusReport: Codable {
  /// The owner's side: prepared, training, detached, finished, cancelled.
  let phase: String
  /// What the trainer says; absent once the run is over.
  let trainer: JobStatus?
}
