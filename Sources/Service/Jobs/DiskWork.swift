package import Foundations
import Dispatch
package import Protocol

/// What may keep a disk busy for long (syncing uploads, publishing weights, hashing checkpoints, removing folders), done piece by
/// piece on a thread of its own: the service thread goes on reading the socket, so that no owner seems silent.
final class DiskWorker: Sendable {
  private let queue = DispatchQueue(label: "disk", qos: .userInitiated)
  /// Called before each piece; tests make a disk slow with it.
  private let beforeEach: @Sendable () -> Void

  init(beforeEach: @escaping @Sendable () -> Void) {
    self.beforeEach = beforeEach
  }

  func run(_ work: @escaping @Sendable () -> Void) {
    queue.async { [beforeEach] in
      beforeEach()
      work()
    }
  }

  /// Returns when all that was asked for is done.
  func wait() {
    queue.sync {}
  }
}

/// A job's disk work under way, and what its owner has sent since, which waits for it.
struct DiskWork<Request: WireMessage> {
  let owner: OwnerKey
  /// Each takes the result of one piece of work, in their order; on the service thread.
  var finishes: [() -> Void] = []
  var waiting: [(request: ServiceRequest<Request>, peer: PeerID)] = []

  /// Messages about one job that may wait, of each key. Owners have at most a handful of chunks unanswered.
  static var maxWaiting: Int { 64 }
}

/// The work and its result.
///
/// `@unchecked Sendable`: the service thread makes it, the disk worker alone touches it until it posts `.diskWorkDone`, and after that the
/// service thread alone; the queue and the outbox's lock order memory in between. What the work reads and writes belongs to
/// one job, whose messages wait meanwhile.
private final class DiskTask<Value>: @unchecked Sendable {
  private let work: () throws -> Value
  private(set) var result: Result<Value, any Error>?

  init(_ work: @escaping () throws -> Value) {
    self.work = work
  }

  func run() {
    result = Result { try work() }
  }
}

extension JobService {
  /// Does slow work on files of one job away from the service thread; later messages about this job wait until it is done.
  ///
  /// - Parameters:
  ///   - work: must not touch the service.
  ///   - finish: takes the result, on the service thread; what it throws is told to `peer` as a refusal.
  package func onDisk<Value>(
    _ id: JobID, for peer: PeerID, _ work: @escaping () throws -> Value,
    then finish: @escaping (Result<Value, any Error>) throws -> Void
  ) {
    let task = DiskTask(work)
    diskWork[id, default: DiskWork(owner: peer.ownerKey)].finishes.append { [unowned self] in
      guard let result = task.result else { return }
      do { try finish(result) } catch { refuse(error, job: id, to: peer) }
    }
    diskWorker.run { [outbox] in
      task.run()
      outbox.post(.diskWorkDone(id))
    }
  }

  /// Does slow work on files that no message has to wait for. Done when `run` returns.
  package func inBackground(_ work: @escaping @Sendable () -> Void) {
    diskWorker.run(work)
  }

  /// Whether a message has to wait for disk work of its job; it is kept then.
  ///
  /// - Throws: `ServiceError` for a job of another owner; `WireError` when too much waits already.
  func postpone(_ request: ServiceRequest<Handler.Request>, job id: JobID, from peer: PeerID) throws -> Bool {
    guard let work = diskWork[id] else { return false }
    guard work.owner == peer.ownerKey || jobs[id].map({ handler.admits(peer.ownerKey, to: $0) }) == true else {
      throw ServiceError.noSuchJob(at: Handler.program)
    }
    let waiting = work.waiting.count { $0.peer.ownerKey == peer.ownerKey }
    guard waiting < DiskWork<Handler.Request>.maxWaiting else {
      throw WireError.outOfOrder("more messages than the window allows")
    }
    diskWork[id]?.waiting.append((request, peer))
    return true
  }

  /// Whether files of a job are worked on: until that is done nothing else may touch them.
  package func isBusy(_ id: JobID) -> Bool {
    diskWork[id] != nil
  }

  /// Takes the result of disk work, then goes on with what waited for it, up to the next disk work of the job.
  func diskWorkDone(_ id: JobID) {
    guard diskWork[id]?.finishes.isEmpty == false, let finish = diskWork[id]?.finishes.removeFirst() else { return }
    finish()
    guard diskWork[id]?.finishes.isEmpty == true, let work = diskWork.removeValue(forKey: id) else { return }
    for (position, (request, peer)) in work.waiting.enumerated() {
      if diskWork[id] != nil {
        diskWork[id]?.waiting += work.waiting[position...]
        return
      }
      do { try admit(request, job: id, from: peer) } catch { refuse(error, job: id, to: peer) }
    }
  }
}
