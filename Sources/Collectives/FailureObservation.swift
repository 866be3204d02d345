/// What `Communicator.onFailure` was asked for, to be ended when nobody wants to know any more.
package struct FailureObservation: Sendable {
  private let remove: @Sendable () -> Void

  init(remove: @escaping @Sendable () -> Void = {}) {
    self.remove = remove
  }

  /// The communicator forgets the action and all that it holds; one that is being called goes on.
  package func end() {
    remove()
  }
}
