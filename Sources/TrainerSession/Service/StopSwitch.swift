import Synchronization

/// Asks a service to stop, from any thread or signal source.
package final class StopSwitch: Sendable {
  private let state = Mutex<(requested: Bool, preempted: Bool, action: (@Sendable () -> Void)?)>((false, false, nil))

  package init() {}

  package var isRequested: Bool { state.withLock(\.requested) }

  /// Whether the trainer is to be started again by itself.
  var isPreempted: Bool { state.withLock(\.preempted) }

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
