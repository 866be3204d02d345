import Synchronization

/// Asks a service to stop, from any thread or signal source.
package final class StopSwitch: Sendable {
  private let state = Mutex<(requested: Bool, preempted: Bool, action: (@Sendable () -> Void)?)>((false, false, nil))

  package init() {}

  package var isRequested: Bool { state.withLock(\.requested) }

  /// Whether the server is to be started again by itself.
  package var isPreempted: Bool { state.withLock(\.preempted) }

  package func request(preempted: Bool = false) {
    let action = state.withLock { state in
      state.preempted = state.preempted || preempted
      state.requested = true
      return state.action
    }
    action?()
  }

  /// - Parameter action: called at every request.
  package func onRequest(_ action: @escaping @Sendable () -> Void) {
    state.withLock { $0.action = action }
  }
}

/// Why a job's runner is told to stop.
package enum StopReason: Sendable {
  /// The owner fell silent.
  case ownerLost
  /// The owner came back on another connection; a new runner takes over.
  case superseded
  /// The owner is no longer listed.
  case ownerRemoved
  /// The server shuts down.
  case shutdown
  /// The owner cancelled the job.
  case cancelled
  /// Others wait and its turn is over; takes effect at the end of a step.
  case turnOver
  /// The same at once, where its owner has not let the step end for a whole turn.
  case turnForfeited

  /// - Parameter program: the server, as in `trainer`.
  package func text(program: String) -> String {
    switch self {
    case .ownerLost: "nothing is heard from its owner"
    case .superseded: "its owner reconnected"
    case .ownerRemoved: "its owner is no longer listed"
    case .shutdown: "the \(program) stops"
    case .cancelled: "cancelled"
    case .turnOver, .turnForfeited: "its turn is over, and another job waits"
    }
  }

  /// Whether the owner that the runner spoke with is not to hear from it any more: it is gone, or on another connection where
  /// these messages would be taken for those of the next runner.
  package var abandonsOwner: Bool {
    switch self {
    case .ownerLost, .superseded, .ownerRemoved: true
    case .shutdown, .cancelled, .turnOver, .turnForfeited: false
    }
  }

  /// Whether it takes effect at the end of a step only, and any other reason before that.
  package var awaitsStep: Bool { self == .turnOver }

  /// Whether the job goes to the end of the line.
  package var isTurn: Bool { self == .turnOver || self == .turnForfeited }
}
