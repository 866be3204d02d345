package import Foundations
package import Protocol

extension JobService {
  /// Puts a job whose owner is here in line, or has it go on at once on this connection.
  package func attach(_ id: JobID, to peer: PeerID) {
    handOver(id, to: peer)
    jobs[id]?.isAttached = true
    if let running = active[id] {
      // The owner came back on a new connection while its job still ran: save, then start again.
      active[id]?.returns = true
      running.runner.stop(.superseded)
      return
    }
    enqueue(id)
  }

  package func enqueue(_ id: JobID) {
    guard canRun(id) else { return }
    lineUp(id)
    startNext()
    tellPositions()
  }

  /// Puts a job at the end of the line; one that is in it keeps its place.
  func lineUp(_ id: JobID) {
    guard !queue.contains(id) else { return }
    queue.append(id)
    jobs[id]?.waitsSince = clock.now
  }

  /// The jobs in line in the order in which they would run as things stand.
  func line() -> [JobID] {
    let waiting = queue.compactMap { id in jobs[id].map { (job: id, owner: $0.owner) } }
    return FairOrder<JobID>(running: runningByOwner, used: processorSeconds).sorted(waiting)
  }

  func tellPositions() {
    for (position, id) in line().enumerated() {
      guard let record = jobs[id] else { continue }
      observe(.jobQueued(job: id, position: position + 1))
      if connections.isConnected(record.peer) { tell(.queued(position: position + 1), job: id, to: record.peer) }
    }
  }

  /// Takes a job out of the line.
  ///
  /// - Returns: whether it was in it, and those behind it have other places now.
  func leaveLine(_ id: JobID) -> Bool {
    let before = queue.count
    queue.removeAll { $0 == id }
    return queue.count < before
  }

  /// The owner is not there any more: its job is saved and leaves the line.
  package func detach(_ id: JobID, reason: StopReason) {
    detach([id], reason: reason)
  }

  /// The same of several jobs, of which those in line hear once.
  func detach(_ ids: [JobID], reason: StopReason) {
    var hasMoved = false
    for id in ids {
      jobs[id]?.isAttached = false
      jobs[id]?.follows = false
      if jobs[id]?.isAutonomous == true { continue }
      if leaveLine(id) { hasMoved = true }
      active[id]?.runner.stop(reason)
    }
    if hasMoved { tellPositions() }
  }

  /// What a connection is told that has lost its job to another one.
  package static var takenOver: String { "another connection of this owner has taken the job over" }

  /// Makes `peer` the connection that hears of the job. The one before, if it waits for anything, is told: it would wait for ever.
  package func handOver(_ id: JobID, to peer: PeerID) {
    guard let record = jobs[id], record.peer != peer else { return }
    jobs[id]?.peer = peer
    guard record.isAttached || record.follows else { return }
    jobs[id]?.follows = false
    if !record.isAutonomous, active[id] == nil {
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
    isServed(record.owner)
  }

  package func isServed(_ owner: OwnerKey) -> Bool {
    configuration.owners.limits(of: owner) != nil
  }

  /// Puts the keys in force that may connect beside the owners', with the next message of each.
  package func admitGuests(_ keys: Set<OwnerKey>) {
    endpoint.admitGuests(keys)
  }

  /// Puts a list of owners that was read again in force: jobs of owners that left it stop at the end of a step and are kept; what
  /// needs no owner to run goes on for those who are back.
  func applyOwnerChanges() {
    guard let count = configuration.owners.takeChange() else { return }
    configuration.eventLog?.note(LoggedEvent(.ownersRead, reason: "\(count) listed"))
    handler.ownersChanged(in: self)
    for (id, record) in jobs {
      if !isServed(record) {
        suspend(id)
      } else if record.isAutonomous, record.isRunnable, !queue.contains(id) {
        // One that is just being stopped goes on after that.
        if active[id]?.isLeaving != false { lineUp(id) }
      }
    }
    startNext()
    tellPositions()
  }

  private func suspend(_ id: JobID) {
    guard let record = jobs[id] else { return }
    let wasAtWork = active[id] != nil || queue.contains(id)
    queue.removeAll { $0 == id }
    active[id]?.runner.stop(.ownerRemoved)
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
