package import Foundation
package import Numerics

/// Ranks that are threads of one process, for tests of everything that does not need MPI itself.
package final class ThreadCommunicator: Communicator {
  package let rank: Int
  private let group: ThreadGroup

  package var size: Int { group.size }
  package var failure: CollectiveError? { group.failure }

  private init(rank: Int, group: ThreadGroup) {
    self.rank = rank
    self.group = group
  }

  /// A communicator for each of `size` ranks.
  package static func group(of size: Int) -> [ThreadCommunicator] {
    let group = ThreadGroup(size: max(1, size))
    return (0..<group.size).map { ThreadCommunicator(rank: $0, group: group) }
  }

  package func startSum<Element: FloatingElement>(_ elements: UnsafeMutableBufferPointer<Element>) -> PendingOperation {
    let pending = PendingOperation(parts: 1)
    group.join(.sum, rank, elements, pending) { (contributions: [UnsafeMutableBufferPointer<Element>]) in
      guard let first = contributions.first else { return }
      // In the order of the ranks, so that the bits do not depend on who comes first.
      for other in contributions.dropFirst() {
        for index in first.indices { first[index] += other[index] }
      }
      for other in contributions.dropFirst() { _ = other.update(fromContentsOf: first) }
    }
    return pending
  }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws(CollectiveError) {
    let pending = PendingOperation(parts: 1)
    group.join(.other, rank, bytes.bindMemory(to: UInt8.self), pending) { contributions in
      for other in contributions.indices where other != root {
        _ = contributions[other].update(fromContentsOf: contributions[root])
      }
    }
    try pending.wait()
  }

  package func send(_ message: Data, to rank: Int) throws(CollectiveError) {
    try group.send(message, from: self.rank, to: rank)
  }

  package func receive() throws(CollectiveError) -> (from: Int, message: Data) {
    try group.receive(at: rank)
  }

  package func checkRanks() {}

  @discardableResult
  package func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation {
    group.onFailure(action)
  }

  package func fail(_ error: CollectiveError) {
    group.fail(error)
  }

  package func finish() {}

  /// This rank dies; all others are told.
  package func abort(code: Int32) {
    group.fail(.rankLost(rank))
  }
}

/// What the ranks of a `ThreadCommunicator` share.
///
/// `@unchecked Sendable`: all state is read and written with `condition` locked.
final class ThreadGroup: @unchecked Sendable {
  /// Operations of one kind meet in order; those of different kinds do not wait for each other.
  enum Kind {
    case sum
    case other
  }

  /// What the ranks that have come so far brought; its last completes it.
  private struct Meeting {
    var memory: [UnsafeMutableRawBufferPointer?]
    var pending: [PendingOperation] = []
  }

  let size: Int
  private let condition = NSCondition()
  private var meetings: [Kind: [Int: Meeting]] = [:]
  private var joined: [Kind: [Int]]
  private var messages: [[(from: Int, message: Data)]]
  private let observers = FailureObservers()

  init(size: Int) {
    self.size = size
    let none = [Int](repeating: 0, count: size)
    joined = [.sum: none, .other: none]
    messages = Array(repeating: [], count: size)
  }

  var failure: CollectiveError? { observers.failure }

  /// Brings memory to the next operation of this kind; the last rank to come computes, while the others' memory is untouched
  /// because they wait or were promised that nobody uses it.
  func join<Element>(
    _ kind: Kind, _ rank: Int, _ memory: UnsafeMutableBufferPointer<Element>, _ pending: PendingOperation,
    _ compute: ([UnsafeMutableBufferPointer<Element>]) -> Void
  ) {
    condition.lock()
    defer { condition.unlock() }
    if let failure { return pending.fail(failure) }
    let number = joined[kind]?[rank] ?? 0
    joined[kind]?[rank] = number + 1
    var meeting = meetings[kind]?[number] ?? Meeting(memory: Array(repeating: nil, count: size))
    meeting.memory[rank] = UnsafeMutableRawBufferPointer(memory)
    meeting.pending.append(pending)
    guard meeting.pending.count == size else {
      meetings[kind, default: [:]][number] = meeting
      return
    }
    meetings[kind]?[number] = nil
    compute(
      meeting.memory.map { UnsafeMutableBufferPointer(rebasing: $0?.bindMemory(to: Element.self)[...] ?? memory[...]) })
    for pending in meeting.pending { pending.complete() }
  }

  func send(_ message: Data, from: Int, to rank: Int) throws(CollectiveError) {
    condition.lock()
    defer { condition.unlock() }
    if let failure { throw failure }
    guard messages.indices.contains(rank) else { throw .rankLost(rank) }
    messages[rank].append((from, message))
    condition.broadcast()
  }

  func receive(at rank: Int) throws(CollectiveError) -> (from: Int, message: Data) {
    condition.lock()
    defer { condition.unlock() }
    while messages[rank].isEmpty {
      if let failure { throw failure }
      condition.wait()
    }
    return messages[rank].removeFirst()
  }

  func fail(_ error: CollectiveError) {
    observers.fail(error) {
      condition.withLock {
        for meeting in meetings.values.flatMap(\.values) {
          for pending in meeting.pending { pending.fail(error) }
        }
        meetings = [:]
        condition.broadcast()
      }
    }
  }

  func onFailure(_ action: @escaping @Sendable (CollectiveError) -> Void) -> FailureObservation {
    observers.observe(action)
  }
}
