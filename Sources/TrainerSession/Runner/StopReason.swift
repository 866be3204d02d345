/// Why a runner is told to stop.
enum StopReason: Sendable {
  /// The owner fell silent.
  case ownerLost
  /// The owner came back on another connection; a new runner takes over.
  case superseded
  /// The trainer shuts down.
  case shutdown
  /// The owner cancelled the job.
  case cancelled
}
