import Collectives
import Foundation
import Numerics
import Training
import Protocol

/// One replica at each rank: that of rank 0 on another thread of this process, the others in processes of their own. What is to be
/// done is sent to them, inputs and all, and they work at the same time.
final class DistributedReplicas<Element: FloatingElement>: Replicas, Sendable {
  private let communicator: any Communicator
  /// Of rank 0's replica.
  let mailbox = ReplicaMailbox<Element>()
  private let inputWidth: Int

  init(_ communicator: any Communicator, inputWidth: Int) {
    self.communicator = communicator
    self.inputWidth = inputWidth
  }

  var size: Int { communicator.size }
  var isImmediate: Bool { false }
  /// What a replica has no memory for waits there.
  var hasRoom: Bool { true }

  func begin(step: Int, samples: [[Int]]) {
    for (rank, samples) in samples.enumerated() { send(.step(step, parts: samples), to: rank) }
  }

  func forward(part: Int, _ extent: PartExtent, on rank: Int, filling: InputFilling<Element>) throws {
    send(.forward(part: part, try inputs(extent, filling)), to: rank)
  }

  func backward(part: Int, _ gradient: Tensor<Element>, on rank: Int) {
    send(.gradient(part: part, gradient), to: rank)
  }

  func train(
    part: Int, _ extent: PartExtent, _ targets: Targets<Element>, normalizer: Double, on rank: Int,
    filling: InputFilling<Element>
  ) throws {
    send(.train(part: part, try inputs(extent, filling), targets, normalizer: normalizer), to: rank)
  }

  func infer(_ number: Int, _ extent: PartExtent, on rank: Int, filling: InputFilling<Element>) throws {
    send(.infer(number, try inputs(extent, filling)), to: rank)
  }

  func order(_ order: StoreOrder) throws {
    guard mailbox.hasRoom else { throw WireError.outOfOrder("more to save than can be waited for") }
    send(.order(order), to: 0)
  }

  func abandon(others: Bool) {
    if others { sendAll(.abandon) } else { send(.abandon, to: 0) }
  }

  private func inputs(_ extent: PartExtent, _ filling: InputFilling<Element>) throws -> ReplicaInputs<Element> {
    var values = Tensor<Element>(uninitialized: [extent.rows, inputWidth])
    try values.withUnsafeMutableBufferPointer { try filling($0) }
    return ReplicaInputs(values: values, sequences: extent.sequences)
  }

  /// When a rank cannot be told something, it and the others would wait for each other for ever: so the communicator fails, as it does
  /// when a rank is gone, and `Inbox.Event.lost` tells.
  func send(_ command: ReplicaCommand<Element>, to rank: Int) {
    guard rank != 0 else { return mailbox.post(command) }
    do {
      guard let packet = command.packet else { throw CollectiveError.unsendable(rank: rank) }
      try communicator.send(packet.encoded(), to: rank)
    } catch {
      communicator.fail(error as? CollectiveError ?? .unsendable(rank: rank))
    }
  }

  func sendAll(_ command: ReplicaCommand<Element>) {
    for rank in 0..<size { send(command, to: rank) }
  }
}

/// Commands to one replica, in order. What bounds them is how many micro-batches and evaluations an owner may have unanswered, and
/// `hasRoom` for what it wants saved.
///
/// `@unchecked Sendable`: all state is read and written with `condition` locked.
final class ReplicaMailbox<Element: FloatingElement>: @unchecked Sendable {
  private let condition = NSCondition()
  private var commands: [ReplicaCommand<Element>] = []
  private var isClosed = false
  /// Saves and their like that are not carried out yet, here or at the replica.
  private var orders = 0

  /// An owner sends one with each checkpoint or evaluation that it was told of; this many are never due at once.
  static var largestOrders: Int { 256 }

  /// Whether something more may be ordered to be saved.
  var hasRoom: Bool { condition.withLock { orders < Self.largestOrders } }

  func post(_ command: ReplicaCommand<Element>) {
    condition.withLock {
      commands.append(command)
      if command.isOrder { orders += 1 }
      condition.signal()
    }
  }

  /// The replica carried a command out, or failed to.
  func finish(_ command: ReplicaCommand<Element>) {
    guard command.isOrder else { return }
    condition.withLock { orders -= 1 }
  }

  /// No more commands will come.
  func close() {
    condition.withLock {
      isClosed = true
      condition.signal()
    }
  }

  /// All commands that are there; waits for one where there is none. Empty once closed.
  func take(waiting: Bool) -> [ReplicaCommand<Element>] {
    condition.withLock {
      while waiting, commands.isEmpty, !isClosed { condition.wait() }
      defer { commands = [] }
      return commands
    }
  }
}
