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
  func limits(of owner: OwnerKey) -> OwnerLimits? {
    state.withLock { state in
      guard let authorized = state.authorized else { return OwnerLimits() }
      return authorized.limits[owner]
    }
  }

  /// The number of owners listed, once after each replacement.
  func takeChange() -> Int? {
    state.withLock { state in
      guard state.hasChanged else { return nil }
      state.hasChanged = false
      return state.authorized?.limits.count
    }
  }

  func onChange(_ wake: @escaping @Sendable () -> Void) {
    state.withLock { $0.wake = wake }
  }
}

extension TrainerService {
  func isServed(_ record: JobRecord<Element>) -> Bool {
    configuration.owners.limits(of: record.peer.ownerKey) != nil
  }

  /// Puts a list of owners that was read again in force: jobs of owners that left it stop at the end of a step and are kept; what
  /// needs no owner to run goes on for those who are back.
  func applyOwnerChanges() {
    guard let count = configuration.owners.takeChange() else { return }
    configuration.audit?.note(AuditEvent(.ownersRead, reason: "\(count) listed"))
    for (id, record) in jobs {
      if !isServed(record) {
        suspend(id)
      } else if record.isAutonomous, record.isRunnable, !queue.contains(id) {
        // One that is just being stopped goes on after that.
        let isStopping = active?.inbox.stopRequested != nil
        if active?.job != id || isStopping { queue.append(id) }
      }
    }
    startNext()
    tellPositions()
  }

  private func suspend(_ id: JobID) {
    guard let record = jobs[id] else { return }
    let wasAtWork = active?.job == id || queue.contains(id)
    queue.removeAll { $0 == id }
    if let active, active.job == id { active.inbox.stop(.ownerRemoved) }
    jobs[id]?.attachedHistory = nil
    jobs[id]?.follows = false
    guard wasAtWork || isConnected(record.peer) else { return }
    if wasAtWork {
      configuration.audit?.note(AuditEvent(.suspended, owner: record.peer.ownerKey, job: id))
      observe(.ownerRemoved(owner: record.peer.ownerKey.prefix, job: id))
    }
    // The refusal itself, not a goodbye, after which it would have to come back to hear of it. Over the network this is turned
    // into word of the removal.
    send(
      .refused(kind: TrainerError.notListed.kind, reason: TrainerError.notListed.description), job: id, to: record.peer)
  }
}
