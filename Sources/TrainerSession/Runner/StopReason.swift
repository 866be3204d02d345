/// Why a runner is told to stop.
enum StopReason: Sendable {
  /// The owner fell silent.
  case ownerLost
  /// The owner came back on another connection; a new runner takes over.
  case superseded
  /// The owner is no longer listed.
  case ownerRemoved
  /// The trainer shuts down.
  case shutdown
  /// The owner cancelled the job.
  case cancelled

  var text: String {
    switch self {
    case .ownerLost: "its owner is not heard of"
    case .superseded: "its owner reconnected"
    case .ownerRemoved: "its owner is no longer listed"
    case .shutdown: "the trainer stops"
    case .cancelled: "cancelled"
    }
  }
}
