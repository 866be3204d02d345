package import Collectives
import Dispatch
import Foundations
import Foundation
package import Numerics
import Training
import Protocol
import Service

/// What a process of rank 1 or above does: a replica of every job that rank 0 runs.
package struct TrainerWorker<Element: FloatingElement>: Sendable {
  private let communicator: any Communicator
  private let compute: Compute
  private let kernels: AvailableKernels

  /// - Parameter compute: whose workers compute; each job is multiplied in its own precision.
  package init(communicator: any Communicator, compute: Compute, kernels: AvailableKernels = AvailableKernels()) {
    self.communicator = communicator
    self.compute = compute
    self.kernels = kernels
  }

  /// Ends all of them in good order; at rank 0.
  ///
  /// - Throws: `CollectiveError` when a rank is gone.
  package static func stopAll(_ communicator: any Communicator) throws {
    if let failure = communicator.failure { throw failure }
    guard communicator.size > 1, let stop = ReplicaCommand<Element>.stop.packet?.encoded() else { return }
    for rank in 1..<communicator.size { try communicator.send(stop, to: rank) }
  }

  /// Serves until rank 0 stops in good order.
  ///
  /// - Throws: `CollectiveError` when a rank is gone or cannot be understood; `Failure` for what keeps this rank from going on.
  package func run() throws {
    let mailbox = ReplicaMailbox<Element>()
    let received = DispatchGroup()
    received.enter()
    let thread = Thread { [communicator] in
      receive(communicator, into: mailbox)
      received.leave()
    }
    thread.name = "commands"
    thread.start()
    var waiting: [ReplicaCommand<Element>] = []
    while true {
      if waiting.isEmpty { waiting = mailbox.take(waiting: true) }
      guard !waiting.isEmpty else { throw communicator.failure ?? .finished }
      switch waiting.removeFirst() {
      case .begin(let description, let step, let kernel):
        waiting = try work(description, step: step, kernel, mailbox: mailbox, waiting)
      case .stop:
        received.wait()
        return
      default: break
      }
    }
  }

  private func receive(_ communicator: any Communicator, into mailbox: ReplicaMailbox<Element>) {
    defer { mailbox.close() }
    while let (rank, message) = try? communicator.receive() {
      guard let command = ReplicaPacket<Element>(decoding: message).flatMap(ReplicaCommand.init) else {
        return communicator.fail(.misunderstood(rank: rank))
      }
      mailbox.post(command)
      if case .stop = command { return }
    }
  }

  /// - Returns: commands that came after the job's end.
  private func work(
    _ description: JobDescription, step: Int, _ kernel: JobKernel, mailbox: ReplicaMailbox<Element>,
    _ first: [ReplicaCommand<Element>]
  ) throws -> [ReplicaCommand<Element>] {
    guard kernels.has(kernel) else {
      throw ServiceError.refused(kernels.refusal(of: kernel, description.precision))
    }
    let engine = try TrainingEngine<Element>(
      receivingOver: communicator, description, step: step,
      compute: kernels.compute(compute.workers, for: description.precision, kernel: kernel))
    var corrections = CorrectionVectors<Element>(zerosFor: description)
    try corrections?.receive(over: communicator)
    let reduction = CollectiveReduction<Element>(communicator)
    _ = engine.share(over: reduction, of: description)
    var replica = CommandedReplica(
      engine: engine, reduction: reduction, loss: description.task.map(LossFunction.init),
      correction: try description.correction(corrections, workers: compute.workers), mailbox: mailbox, context: nil,
      first
    ) { [communicator] answer in
      // Rank 0 would wait for it for ever: when it cannot be sent this process ends.
      do throws(CollectiveError) {
        try communicator.send(answer.packet.encoded(), to: 0)
      } catch {
        communicator.fail(error)
      }
    }
    let rest = replica.run()
    try communicator.send(ReplicaAnswer<Element>.ended.packet.encoded(), to: 0)
    return rest
  }
}
