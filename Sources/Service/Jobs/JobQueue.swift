package import Foundations
import Numerics
package import Protocol

extension JobService {
  /// Puts a job whose owner is here in line, or has it go on at once on this connection.
  package func attach(_ id: JobID, to peer: PeerID) {
    handOver(id, to: peer)
    jobs[id]?.isAttached = true
    if let active, active.job == id {
      // The owner came back on a new connection while its job still ran: save, then start again.
      active.stop(.superseded)
      if !queue.contains(id) { queue.insert(id, at: 0) }
      return
    }
    enqueue(id)
  }

  package func enqueue(_ id: JobID) {
    guard let record = jobs[id], record.isRunnable, isServed(record), active?.job != id else { return }
    if !queue.contains(id) { queue.append(id) }
    startNext()
    tellPositions()
  }

  /// Starts the first job in line that can run, when none runs.
  func startNext() {
    let position = queue.firstIndex { jobs[$0].map { $0.isRunnable && isServed($0) } == true }
    guard active == nil, handler.canRunJobs, let position else { return }
    let id = queue.remove(at: position)
    guard let record = jobs[id] else { return }
    jobs[id]?.startedAt = ProcessorTime.ofThisProcess
    active = handler.run(record, in: self)
    tellPositions()
  }

  func tellPositions() {
    for (position, id) in queue.enumerated() {
      guard let record = jobs[id] else { continue }
      observe(.jobQueued(job: id, position: position + 1))
      if connections.isConnected(record.peer) { tell(.queued(position: position + 1), job: id, to: record.peer) }
    }
  }

  /// The owner is not there any more: its job is saved and leaves the line.
  package func detach(_ id: JobID, reason: StopReason) {
    jobs[id]?.isAttached = false
    jobs[id]?.follows = false
    if jobs[id]?.isAutonomous == true { return }
    queue.removeAll { $0 == id }
    if let active, active.job == id { active.stop(reason) }
  }

  /// What a connection is told that has lost its job to another one.
  package static var takenOver: String { "another connection of this owner has taken the job over" }

  /// Makes `peer` the connection that hears of the job. The one before, if it waits for anything, is told: it would wait for ever.
  package func handOver(_ id: JobID, to peer: PeerID) {
    guard let record = jobs[id], record.peer != peer else { return }
    jobs[id]?.peer = peer
    guard record.isAttached || record.follows else { return }
    jobs[id]?.follows = false
    if !record.isAutonomous, active?.job != id {
      // It was in line for the connection that has lost it.
      jobs[id]?.isAttached = false
      queue.removeAll { $0 == id }
    }
    if connections.isConnected(record.peer) {
      tell(.refused(kind: .refused, reason: Self.takenOver), job: id, to: record.peer)
    }
  }

  // MARK: - Owners

  func isServed(_ record: JobRecord<Handler>) -> Bool {
    configuration.owners.limits(of: record.owner) != nil
  }

  /// Puts a list of owners that was read again in force: jobs of owners that left it stop at the end of a step and are kept; what
  /// needs no owner to run goes on for those who are back.
  func applyOwnerChanges() {
    guard let count = configuration.owners.takeChange() else { return }
    configuration.eventLog?.note(LoggedEvent(.ownersRead, reason: "\(count) listed"))
    for (id, record) in jobs {
      if !isServed(record) {
        suspend(id)
      } else if record.isAutonomous, record.isRunnable, !queue.contains(id) {
        // One that is just being stopped goes on after that.
        let isStopping = active?.stopRequested != nil
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
    if let active, active.job == id { active.stop(.ownerRemoved) }
    jobs[id]?.isAttached = false
    jobs[id]?.follows = false
    guard wasAtWork || connections.isConnected(record.peer) else { return }
    if wasAtWork {
      configuration.eventLog?.note(LoggedEvent(.suspended, owner: record.owner, job: id))
      observe(.ownerRemoved(owner: record.owner.prefix, job: id))
    }
    // The refusal itself, not a goodbye, after which it would have to come back to hear of it. Over the network this is turned
    // into word of the removal.
    let refusal = ServiceError.notListed(by: Handler.program)
    tell(.refused(kind: refusal.kind, reason: refusal.description), job: id, to: record.peer)
  }
}
