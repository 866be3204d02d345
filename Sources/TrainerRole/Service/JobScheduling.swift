import Files
import Collectives
import Foundations
import Foundation
import Numerics
import Protocol

extension TrainerService {
  /// Puts a job whose owner is here in line, or takes it up at once.
  func attach(_ id: JobID, historySteps: Int, from peer: PeerID) throws {
    guard let record = jobs[id] else { return }
    switch record.stored.phase {
    case .uploading: throw WireError.outOfOrder("attach before the starting weights are uploaded")
    case .failed: throw TrainerError(.refused, record.stored.failure ?? "the job failed")
    case .finished:
      send(.finished, job: id, to: peer)
      return
    case .ready: break
    }
    guard !record.isAutonomous else { throw WireError.outOfOrder("attach to a job that needs no owner") }
    // One that could not go on is not to end the one that does.
    if active?.job == id { _ = try store.checkpoints(of: id).start(historySteps: historySteps) }
    handOver(id, to: peer)
    jobs[id]?.attachedHistory = historySteps
    if let active, active.job == id {
      // The owner came back on a new connection while its job still ran: save, then start again from a checkpoint.
      active.inbox.stop(.superseded)
      if !queue.contains(id) { queue.insert(id, at: 0) }
      return
    }
    enqueue(id)
  }

  func enqueue(_ id: JobID) {
    guard let record = jobs[id], record.isRunnable, isServed(record), active?.job != id else { return }
    if !queue.contains(id) { queue.append(id) }
    startNext()
    tellPositions()
  }

  /// Starts the first job in line that can run, when none runs.
  func startNext() {
    let position = queue.firstIndex { jobs[$0].map { $0.isRunnable && isServed($0) } == true }
    guard active == nil, configuration.communicator.failure == nil, let position else { return }
    let id = queue.remove(at: position)
    guard let record = jobs[id] else { return }
    jobs[id]?.startedAt = ProcessorTime.ofThisProcess
    active = JobRunner(
      job: record.stored, configuration: configuration, store: store, outbox: outbox,
      historySteps: record.isAutonomous ? .max : record.attachedHistory ?? 0)
    tellPositions()
  }

  func tellPositions() {
    for (position, id) in queue.enumerated() {
      guard let record = jobs[id] else { continue }
      observe(.jobQueued(job: id, position: position + 1))
      if isConnected(record.peer) { send(.queued(position: position + 1), job: id, to: record.peer) }
    }
  }

  /// The owner is not there any more: its job is saved and leaves the line.
  func detach(_ id: JobID, reason: StopReason) {
    jobs[id]?.attachedHistory = nil
    jobs[id]?.follows = false
    if jobs[id]?.isAutonomous == true { return }
    queue.removeAll { $0 == id }
    if let active, active.job == id { active.inbox.stop(reason) }
  }

  func ended(_ id: JobID, _ outcome: RunnerOutcome) {
    guard let record = jobs[id] else { return }
    if let startedAt = record.startedAt {
      jobs[id]?.processorSeconds += ProcessorTime.ofThisProcess - startedAt
      jobs[id]?.startedAt = nil
    }
    if let canceller = record.canceller {
      removeEnded(id, as: .cancelled, reason: "cancelled by its owner", for: canceller)
      return
    }
    switch outcome {
    case .paused(let step, let reason):
      jobs[id]?.step = step
      observe(.jobPaused(job: id, step: step, reason: reason))
      // Nobody comes back to an inference: its key was made for it alone.
      if record.stored.description.purpose == .inference {
        removeEnded(id, as: .removed, reason: "its owner is gone", for: record.peer)
      }
    case .finished(let steps):
      finish(record, steps: steps)
    case .cancelled:
      removeEnded(id, as: .cancelled, reason: "cancelled by its owner", for: record.peer)
    case .failed(let error, let resumable):
      jobs[id]?.attachedHistory = nil
      queue.removeAll { $0 == id }
      observe(.jobFailed(job: id, reason: error.description))
      if !resumable {
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
      send(.refused(kind: error.kind, reason: error.description), job: id, to: record.peer)
    }
  }

  private func finish(_ record: JobRecord<Element>, steps: Int) {
    jobs[record.id]?.step = steps
    jobs[record.id]?.attachedHistory = nil
    observe(.jobFinished(job: record.id, steps: steps))
    guard record.stored.description.purpose == .training else {
      send(.finished, job: record.id, to: record.peer)
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
      case .success: send(.finished, job: record.id, to: peer)
      case .failure:
        jobs[record.id]?.stored.phase = .ready
        send(.refused(kind: .exhausted, reason: "the trainer cannot write to its store"), job: record.id, to: peer)
      }
    }
  }

  func cancel(_ id: JobID, for peer: PeerID) throws {
    if let active, active.job == id {
      jobs[id]?.canceller = peer
      active.inbox.stop(.cancelled)
    } else {
      try remove(id, as: .cancelled, reason: "cancelled by its owner", for: peer)
    }
  }

  /// Tells `peer`, and the connection that trained or followed if that is another one. Written down as `event` once it is done;
  /// that it cannot be removed is told, too.
  ///
  /// - Throws: `WireError` for a job that runs.
  func remove(_ id: JobID, as event: AuditEvent.Kind, reason: String, for peer: PeerID) throws {
    guard let record = jobs[id] else { return }
    guard active?.job != id else { throw WireError.outOfOrder("release of a job that runs") }
    queue.removeAll { $0 == id }
    jobs[id] = nil
    onDisk(id, for: peer) { [store] in
      try store.remove(id)
    } then: { [unowned self] result in
      try result.get()
      configuration.audit?.note(
        AuditEvent(event, owner: record.peer.ownerKey, job: id, reason: event == .removed ? reason : nil))
      observe(.jobRemoved(job: id, reason: reason))
      send(.removed, job: id, to: peer)
      if record.peer != peer, isConnected(record.peer) { send(.removed, job: id, to: record.peer) }
    }
  }

  /// The same where nobody waits for a throw.
  private func removeEnded(_ id: JobID, as event: AuditEvent.Kind, reason: String, for peer: PeerID) {
    do {
      try remove(id, as: event, reason: reason, for: peer)
    } catch {
      refuse(error, job: id, to: peer)
    }
  }

  func state(of record: JobRecord<Element>) -> JobState {
    switch record.stored.phase {
    case .uploading: .uploading
    case .finished: .finished
    case .failed: .failed
    case .ready where active?.job == record.id: .running
    case .ready where queue.contains(record.id): .queued
    case .ready: .waitingForOwner
    }
  }

  func status(of id: JobID) -> JobStatus {
    guard let record = jobs[id] else {
      return JobStatus(state: .failed, step: 0, totalSteps: 0, queuePosition: 0, storedBytes: 0)
    }
    let saved = (try? store.checkpoints(of: id).steps().last) ?? 0
    return JobStatus(
      state: state(of: record), step: max(record.step, saved), totalSteps: record.stored.description.totalSteps,
      queuePosition: (queue.firstIndex(of: id) ?? -1) + 1, storedBytes: store.storedBytes(of: id),
      processorSeconds: record.processorSeconds + (record.startedAt.map { ProcessorTime.ofThisProcess - $0 } ?? 0),
      failure: record.stored.failure)
  }
}
