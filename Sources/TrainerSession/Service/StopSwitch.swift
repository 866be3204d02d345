import Synchronization

/// Asks a service to stop, from any thread or signal source.
package final class StopSwitch: Sendable {
  private let state = Mutex<(requested: Bool, action: (@Sendable () -> Void)?)>((false, nil))

  package init() {}

  package var isRequested: Bool { state.withLock(\.requested) }

  package func request() {
    let action = state.withLock { state in
      state.requested = true
      return state.action
    }
    action?()
  }

  func onRequest(_ action: @escaping @Sendable () -> Void) {
    state.withLock { $0.action = action }
  }
}
