#if MPI
  import Dispatch
  import Foundation
  import Foundations
  import Synchronization
  import Numerics

  /// Memory of an operation under way.
  ///
  /// `@unchecked Sendable`: whoever starts an operation leaves its memory alone until it is complete.
  struct MPIMemory: @unchecked Sendable {
    let base: UnsafeMutableRawPointer

    init(_ base: UnsafeMutableRawPointer) {
      self.base = base
    }
  }

  /// What the thread that calls MPI is to start.
  enum MPIOperation: Sendable {
    case sum(MPIMemory, count: Int, type: ElementType)
    case broadcast(MPIMemory, count: Int, root: Int)
    case send(MPIMessage, rank: Int)
    /// Complete once all ranks have started it.
    case barrier
  }

  /// What is asked of that thread beside operations.
  struct MPIRequests {
    var checksRanks = false
    var ends = false
    var abortCode: Int32?
  }

  /// The outcome of a start, once.
  final class MPIStart: Sendable {
    private let result = Mutex<Result<(Int, Int), CollectiveError>>(.failure(.finished))
    private let ended = DispatchSemaphore(value: 0)

    func end(_ result: Result<(Int, Int), CollectiveError>) {
      self.result.withLock { $0 = result }
      ended.signal()
    }

    func wait() -> Result<(Int, Int), CollectiveError> {
      ended.wait()
      return result.withLock { $0 }
    }
  }

  /// Between the threads that want something of MPI and the one that calls it.
  ///
  /// `@unchecked Sendable`: all state is read and written with `condition` locked.
  final class MPIOperations: @unchecked Sendable {
    private let condition = MonotonicCondition()
    private var queue: [(MPIOperation, PendingOperation?)] = []
    private var requests = MPIRequests()
    private var received: [(from: Int, message: Data)] = []
    private let arrived = NSCondition()
    private let observers = FailureObservers()
    private var beats: UInt64 = 0

    var failure: CollectiveError? { observers.failure }

    func post(_ operation: MPIOperation, _ pending: PendingOperation?) {
      let failure = condition.withLock { () -> CollectiveError? in
        // Looked at with the queue locked: whoever fails empties it afterwards.
        if let failure = observers.failure { return failure }
        queue.append((operation, pending))
        condition.signal()
        return nil
      }
      if let failure { pending?.fail(failure) }
    }

    func ask(_ change: (inout MPIRequests) -> Void) {
      condition.withLock {
        change(&requests)
        condition.signal()
      }
    }

    /// Ends the sleep of the thread that calls MPI.
    func look() {
      condition.withLock { condition.signal() }
    }

    func receive() throws(CollectiveError) -> (from: Int, message: Data) {
      arrived.lock()
      defer { arrived.unlock() }
      while received.isEmpty {
        if let failure { throw failure }
        arrived.wait()
      }
      return received.removeFirst()
    }

    func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation {
      observers.observe(action)
    }

    /// Of the thread that calls MPI; nil when it need not answer any more.
    var pulse: ProgressWatch.Pulse? {
      condition.withLock {
        requests.ends || failure != nil ? nil : ProgressWatch.Pulse(beats: beats, isDoubted: requests.checksRanks)
      }
    }

    // MARK: - The thread that calls MPI

    func deliver(_ message: Data, from rank: Int) {
      arrived.withLock {
        received.append((rank, message))
        arrived.signal()
      }
    }

    /// What was asked since; waits up to `seconds` where there is nothing.
    func take(waiting seconds: Double) -> (operations: [(MPIOperation, PendingOperation?)], requests: MPIRequests) {
      condition.withLock {
        beats += 1
        if queue.isEmpty, !requests.checksRanks, requests.abortCode == nil, seconds > 0 {
          _ = condition.wait(for: .seconds(seconds))
        }
        defer {
          queue = []
          requests.checksRanks = false
        }
        return (queue, requests)
      }
    }

    func fail(_ error: CollectiveError) {
      observers.fail(error) {
        let waiting = condition.withLock {
          defer { queue = [] }
          condition.signal()
          return queue.compactMap(\.1)
        }
        for pending in waiting { pending.fail(error) }
        arrived.withLock { arrived.broadcast() }
      }
    }
  }
#endif
