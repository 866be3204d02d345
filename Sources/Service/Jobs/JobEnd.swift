package import Foundations
import Protocol

extension JobService {
  /// A runner has ended.
  func ended(_ id: JobID, _ outcome: RunnerOutcome) {
    shareProcessorTime()
    guard let running = active.removeValue(forKey: id) else { return }
    ended(id, running, outcome)
    // Its owner waits on a new connection: it goes on in its place, but for one whose turn is over, however often its owner comes anew.
    if running.returns, canRun(id), !queue.contains(id), !isEnding, handler.canRunJobs {
      if running.turnEnded == nil {
        start(id, turnBegan: running.turnBegan)
      } else {
        lineUp(id)
        tellPositions()
      }
    }
    startNext()
  }

  private func ended(_ id: JobID, _ running: RunningJob<Handler.Runner>, _ outcome: RunnerOutcome) {
    guard let record = jobs[id] else { return }
    if let canceller = record.canceller {
      removeEnded(id, as: .cancelled, reason: "cancelled by its owner", for: canceller)
      return
    }
    switch outcome {
    case .paused(let step, let reason):
      jobs[id]?.step = step
      observe(.jobPaused(job: id, step: step, reason: reason))
      if record.stored.description.endsWithOwner {
        removeEnded(id, as: .removed, reason: "its owner is gone", for: record.peer)
      }
    case .turnEnded(let step): endTurn(of: id, running, step: step)
    case .finished(let steps): finish(record, steps: steps)
    case .cancelled: removeEnded(id, as: .cancelled, reason: "cancelled by its owner", for: record.peer)
    case .failed(let error, let isResumable): fail(record, error, isResumable: isResumable)
    }
  }

  private func fail(_ record: JobRecord<Handler>, _ error: ServiceError, isResumable: Bool) {
    let id = record.id
    jobs[id]?.isAttached = false
    queue.removeAll { $0 == id }
    observe(.jobFailed(job: id, reason: error.description))
    if !isResumable {
      var failed = record.stored
      failed.failure = error.description
      failed.phase = .failed
      // Whether or not it can be written: repeating would fail again.
      jobs[id]?.stored = failed
      onDisk(id, for: record.peer) { [store] in
        try store.save(failed)
      } then: { _ in
      }
    }
    tell(.refused(kind: error.kind, reason: error.descriptionForOthers), job: id, to: record.peer)
  }

  private func finish(_ record: JobRecord<Handler>, steps: Int) {
    jobs[record.id]?.step = steps
    jobs[record.id]?.isAttached = false
    observe(.jobFinished(job: record.id, steps: steps))
    guard !record.stored.description.endsWithOwner else {
      tell(.finished, job: record.id, to: record.peer)
      return
    }
    var finished = record.stored
    finished.phase = .finished
    // At once, so that it is not started again; the owner is told when it is written.
    jobs[record.id]?.stored = finished
    onDisk(record.id, for: record.peer) { [store] in
      try store.save(finished)
    } then: { [unowned self] result in
      guard let peer = jobs[record.id]?.peer else { return }
      switch result {
      case .success: tell(.finished, job: record.id, to: peer)
      case .failure:
        jobs[record.id]?.stored.phase = .ready
        tell(
          .refused(kind: .exhausted, reason: "the \(Handler.program) cannot write to its store"), job: record.id,
          to: peer)
      }
    }
  }

  func cancel(_ id: JobID, for peer: PeerID) throws {
    if let running = active[id] {
      jobs[id]?.canceller = peer
      running.runner.stop(.cancelled)
    } else {
      try remove(id, as: .cancelled, reason: "cancelled by its owner", for: peer)
    }
  }

  /// Tells `peer`, and the connection that worked or followed if that is another one. Written down as `event` once it is done;
  /// that it cannot be removed is told, too.
  ///
  /// - Throws: `WireError` for a job that runs.
  func remove(_ id: JobID, as event: LoggedEvent.Kind, reason: String, for peer: PeerID) throws {
    guard let record = jobs[id] else { return }
    guard active[id] == nil else { throw WireError.outOfOrder("release of a job that runs") }
    let hasMoved = leaveLine(id)
    jobs[id] = nil
    if hasMoved { tellPositions() }
    onDisk(id, for: peer) { [store] in
      try store.remove(id, of: Handler.program)
    } then: { [unowned self] result in
      try result.get()
      configuration.eventLog?.note(
        LoggedEvent(event, owner: record.owner, job: id, reason: event == .removed ? reason : nil))
      observe(.jobRemoved(job: id, reason: reason))
      tell(.removed, job: id, to: peer)
      if record.peer != peer, connections.isConnected(record.peer) { tell(.removed, job: id, to: record.peer) }
    }
  }

  /// Removes a job that does not run, without a word to its owner: of what the owner has replaced or taken down as a whole.
  package func drop(_ id: JobID, reason: String) {
    guard let record = jobs[id], active[id] == nil else { return }
    jobs[id] = nil
    onDisk(id, for: record.peer) { [store] in
      try store.remove(id, of: Handler.program)
    } then: { [unowned self] result in
      try result.get()
      configuration.eventLog?.note(LoggedEvent(.removed, owner: record.owner, job: id, reason: reason))
      observe(.jobRemoved(job: id, reason: reason))
    }
  }

  /// `remove` where nobody waits for a throw.
  private func removeEnded(_ id: JobID, as event: LoggedEvent.Kind, reason: String, for peer: PeerID) {
    do {
      try remove(id, as: event, reason: reason, for: peer)
    } catch {
      refuse(error, job: id, to: peer)
    }
  }

  // MARK: - Status

  func state(of record: JobRecord<Handler>) -> JobState {
    switch record.stored.phase {
    case .uploading: .uploading
    case .finished: .finished
    case .failed: .failed
    case .ready where record.isHosted: .hosted
    case .ready where active[record.id] != nil: .running
    case .ready where queue.contains(record.id): .queued
    case .ready: .waitingForOwner
    }
  }

  func status(of id: JobID) -> JobStatus {
    shareProcessorTime()
    guard let record = jobs[id] else {
      return JobStatus(state: .failed, step: 0, totalSteps: 0, queuePosition: 0, storedBytes: 0)
    }
    var status = JobStatus(
      state: state(of: record), step: max(record.step, handler.savedSteps(of: id, in: store)),
      totalSteps: record.stored.description.totalSteps, queuePosition: (line().firstIndex(of: id) ?? -1) + 1,
      storedBytes: store.storedBytes(of: id),
      processorSeconds: record.processorSeconds,
      failure: record.stored.failure)
    status.kernels = handler.kernels(of: id, in: store)
    return status
  }
}
