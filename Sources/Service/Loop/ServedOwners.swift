import Synchronization
package import Protocol

/// The owners a service works for at this moment, with what each may use; replaceable from any thread.
package final class ServedOwners: Sendable {
  private struct State {
    /// Nil: everyone, without limits.
    var authorized: AuthorizedKeys?
    var hasChanged = false
    var wake: (@Sendable () -> Void)?
  }

  private let state: Mutex<State>

  /// - Parameter authorized: nil for everyone who is let in.
  package init(_ authorized: AuthorizedKeys? = nil) {
    state = Mutex(State(authorized: authorized))
  }

  /// From now on these: jobs of others stop at the end of a step and are kept.
  package func replace(with authorized: AuthorizedKeys) {
    let wake = state.withLock { state in
      state.authorized = authorized
      state.hasChanged = true
      return state.wake
    }
    wake?()
  }

  /// Nil for an owner that is not served.
  package func limits(of owner: OwnerKey) -> OwnerLimits? {
    state.withLock { state in
      guard let authorized = state.authorized else { return OwnerLimits() }
      return authorized.limits[owner]
    }
  }

  /// The number of owners listed, once after each replacement.
  package func takeChange() -> Int? {
    state.withLock { state in
      guard state.hasChanged else { return nil }
      state.hasChanged = false
      return state.authorized?.limits.count
    }
  }

  package func onChange(_ wake: @escaping @Sendable () -> Void) {
    state.withLock { $0.wake = wake }
  }
}
