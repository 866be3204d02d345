import Transport
import Wire

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
