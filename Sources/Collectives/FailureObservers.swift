import Synchronization

/// Why ranks cannot work together any more, once that is known, and whom to tell.
final class FailureObservers: Sendable {
  private struct State {
    var failure: CollectiveError?
    var actions: [Int: @Sendable (CollectiveError) -> Void] = [:]
    var added = 0
  }

  private let state = Mutex(State())

  var failure: CollectiveError? { state.withLock(\.failure) }

  /// As `Communicator.onFailure`.
  func observe(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation {
    let (known, number) = state.withLock { state -> (CollectiveError?, Int) in
      if let failure = state.failure { return (failure, 0) }
      state.added += 1
      state.actions[state.added] = action
      return (nil, state.added)
    }
    if let known {
      action(known)
      return FailureObservation()
    }
    return FailureObservation { [weak self] in self?.state.withLock { $0.actions[number] = nil } }
  }

  /// The first failure stays; later ones change nothing.
  ///
  /// - Parameter endWaits: called when `failure` tells already, and before any observer.
  func fail(_ error: CollectiveError, _ endWaits: () -> Void) {
    let actions = state.withLock { state -> [@Sendable (CollectiveError) -> Void]? in
      guard state.failure == nil else { return nil }
      state.failure = error
      defer { state.actions = [:] }
      return state.actions.sorted { $0.key < $1.key }.map(\.value)
    }
    guard let actions else { return }
    endWaits()
    for action in actions { action(error) }
  }
}
