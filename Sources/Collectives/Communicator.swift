package import Foundations
package import Foundation
import Synchronization
package import Numerics

/// The processes that work on one job together, as MPI has them: each has a rank, 0 … size − 1.
///
/// Collective operations (`startSum`, `broadcast`) are called by all ranks in the same order with the same sizes.
/// Messages between two ranks arrive in the order in which they were sent. Safe to call from any thread, but collective
/// operations of one kind from one thread at a time.
package protocol Communicator: AnyObject, Sendable {
  var rank: Int { get }
  var size: Int { get }

  /// Starts to replace `elements` by their sums over all ranks, which have the same bits everywhere, and returns at once.
  ///
  /// The memory must stay where it is, untouched, until the result's `wait` has returned.
  func startSum<Element: FloatingElement>(_ elements: UnsafeMutableBufferPointer<Element>) -> PendingOperation

  /// Replaces `bytes` by those that rank `root` holds.
  ///
  /// - Throws: `CollectiveError`.
  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws(CollectiveError)

  /// Queues a message for another rank and returns at once.
  ///
  /// - Throws: `CollectiveError` when a rank is known to be gone, or there is no such rank.
  func send(_ message: Data, to rank: Int) throws(CollectiveError)

  /// Waits for the next message of any other rank.
  ///
  /// - Throws: `CollectiveError`.
  func receive() throws(CollectiveError) -> (from: Int, message: Data)

  /// Why nothing can be done together any more; nil while all ranks are there, as far as is known. Every operation that waits ends
  /// with this error then.
  var failure: CollectiveError? { get }

  /// Looks at once whether all ranks still answer, rather than in the course of time: `failure` tells soon afterwards.
  func checkRanks()

  /// Called once, with the first failure, unless the observation was ended before; at once when there is one already.
  @discardableResult
  func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation

  /// This rank found that nothing can be done together any more: `failure` is this error from now on, unless there was one. The other
  /// ranks learn of it when this one's process ends.
  func fail(_ error: CollectiveError)

  /// Leaves in good order, which all ranks do; nothing is called afterwards.
  func finish()

  /// Ends all ranks' processes, this one included, with an exit code.
  func abort(code: Int32)
}

extension Communicator {
  /// Replaces elements by those that rank `root` holds.
  ///
  /// - Throws: `CollectiveError`.
  package func broadcast<Element: TensorElement>(
    _ elements: UnsafeMutableBufferPointer<Element>, from root: Int
  ) throws(CollectiveError) {
    try broadcast(UnsafeMutableRawBufferPointer(elements), from: root)
  }
}

extension Communicator {
  /// Makes sure that all ranks run the same release, whose messages they understand. All ranks call it, first of all.
  ///
  /// - Parameter release: of this rank's program; its first 64 bytes count.
  /// - Throws: `CollectiveError.otherRelease` at each rank that is not of rank 0's; `CollectiveError` when a rank is gone.
  package func agree(on release: String) throws(CollectiveError) {
    // In every release the same: it has to be understood by the others.
    if let first = try other(than: release) {
      throw .otherRelease(rank: rank, has: Self.text(Array(release.utf8)), first: first)
    }
  }

  /// Makes sure that all ranks multiply alike, so that a job's bits do not depend on which of them has which rows. All ranks call it, after
  /// `agree(on:)`.
  ///
  /// - Parameter kernel: the fastest of this rank's; its first 64 bytes count.
  /// - Throws: `CollectiveError.otherKernel` at each rank that has another than rank 0; `CollectiveError` when a rank is gone.
  package func agree(onKernel kernel: String) throws(CollectiveError) {
    if let first = try other(than: kernel) { throw .otherKernel(rank: rank, has: kernel, first: first) }
  }

  /// What rank 0 says where it is something else.
  private func other(than text: String) throws(CollectiveError) -> String? {
    guard size > 1 else { return nil }
    var bytes = [UInt8](text.utf8.prefix(64))
    bytes += [UInt8](repeating: 0, count: 64 - bytes.count)
    let own = bytes
    try bytes.withUnsafeMutableBufferPointer { memory throws(CollectiveError) in try broadcast(memory, from: 0) }
    return bytes == own ? nil : Self.text(bytes)
  }

  private static func text(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.prefix(64).prefix { $0 >= 32 && $0 < 127 }, as: UTF8.self)
  }
}

/// One rank: sums are what they are summed from.
package final class SingleProcessCommunicator: Communicator {
  package let rank = 0
  package let size = 1
  package let failure: CollectiveError? = nil

  package init() {}

  package func startSum<Element: FloatingElement>(_ elements: UnsafeMutableBufferPointer<Element>) -> PendingOperation {
    PendingOperation(parts: 0)
  }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws(CollectiveError) {}

  package func send(_ message: Data, to rank: Int) throws(CollectiveError) { throw .rankLost(rank) }

  package func receive() throws(CollectiveError) -> (from: Int, message: Data) { throw .finished }

  package func checkRanks() {}

  package func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation {
    FailureObservation()
  }

  package func fail(_ error: CollectiveError) {}

  package func finish() {}

  package func abort(code: Int32) { exit(code) }
}

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

/// Why processes cannot work together.
package enum CollectiveError: Failure, Equatable {
  /// A rank ended or does not answer.
  case rankLost(Int)
  /// A call of the library does not return.
  case libraryHangs
  /// The library reports an error.
  case library(String)
  /// A message of this many bytes is more than one can be.
  case messageSize(Int)
  /// Several processes were started of a program that cannot work together.
  case builtWithoutMPI(Int)
  /// Several processes were started that do not know of each other.
  case notConnected(Int)
  /// What this rank sent is not what is sent between ranks of this program.
  case misunderstood(rank: Int)
  /// Something cannot be told to this rank.
  case unsendable(rank: Int)
  /// This rank runs another release than rank 0.
  case otherRelease(rank: Int, has: String, first: String)
  /// This rank multiplies with another kernel than rank 0.
  case otherKernel(rank: Int, has: String, first: String)
  /// The communicator was left.
  case finished

  package var kind: FailureKind {
    switch self {
    case .rankLost, .libraryHangs, .library: .unreachable
    case .messageSize: .exhausted
    case .builtWithoutMPI, .notConnected, .misunderstood, .otherRelease, .otherKernel: .usage
    case .unsendable, .finished: .defect
    }
  }

  package var description: String {
    switch self {
    case .rankLost(let rank):
      "rank \(rank) of this trainer is gone or does not answer; start the trainer again on the same store, and its jobs go on"
    case .libraryHangs:
      "a call of the message passing library does not return; most likely a rank died while it wrote to this one. Start the trainer again on "
        + "the same store, and its jobs go on"
    case .library(let text): "the message passing library reports: \(text)"
    case .messageSize(let bytes): "a message of \(bytes) bytes is more than the message passing library takes"
    case .builtWithoutMPI(let processes):
      "started as \(processes) processes, but this program was built without MPI, and each would serve for itself: build it with "
        + "`make mpi`, or start one process"
    case .notConnected(let processes):
      "started as \(processes) processes that MPI does not join: start them with mpirun, or srun --mpi=pmix, of the MPI that this "
        + "program was built with"
    case .misunderstood(let rank):
      "rank \(rank) sent what this rank cannot read: start all ranks from the same build of the trainer"
    case .unsendable(let rank): "rank \(rank) cannot be sent its next command"
    case .otherRelease(let rank, let own, let first):
      "rank \(rank) is release \(own) of the trainer and rank 0 is \(first): start all ranks from the same build"
    case .otherKernel(let rank, let own, let first):
      "rank \(rank) multiplies with \(own) and rank 0 with \(first), so that a job's last bits would depend on which of them works on which rows: "
        + "start all ranks on processors of one kind (OPENBLAS_CORETYPE makes OpenBLAS's kernel the same where all can run it)"
    case .finished: "communication between the ranks has already ended"
    }
  }
}
