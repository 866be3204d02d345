import Files
import Foundations
import Numerics
import Training
import Service

/// A replica that carries out the commands of its job's loop, which come to a mailbox.
struct CommandedReplica<Element: FloatingElement> {
  private var replica: Replica<Element>
  private let mailbox: ReplicaMailbox<Element>
  private let answer: (ReplicaAnswer<Element>) -> Void
  private var waiting: [ReplicaCommand<Element>]

  /// - Parameters:
  ///   - context: at rank 0 its way to the store.
  ///   - first: commands that came before those in the mailbox.
  init(
    engine: TrainingEngine<Element>, reduction: CollectiveReduction<Element>, loss: LossFunction?,
    correction: (any GradientCorrection<Element>)?, mailbox: ReplicaMailbox<Element>, context: RunnerContext<Element>?,
    _ first: [ReplicaCommand<Element>] = [],
    answer: @escaping (ReplicaAnswer<Element>) -> Void
  ) {
    replica = Replica(
      engine: engine, reduction: reduction, loss: loss, correction: correction, context: context, answer: answer)
    self.mailbox = mailbox
    self.answer = answer
    waiting = first
  }

  /// Returns at `.end`, or when no command can come any more.
  ///
  /// - Returns: commands after the `.end`.
  mutating func run() -> [ReplicaCommand<Element>] {
    while true {
      waiting += mailbox.take(waiting: false)
      while next() == nil {
        let arrived = mailbox.take(waiting: true)
        if arrived.isEmpty { return [] }
        waiting += arrived
      }
      guard let position = next() else { continue }
      let command = waiting[position]
      if case .abandon = command {
        replica.abandon(waiting: waiting[..<position].count(where: \.isStep))
        waiting.removeSubrange(...position)
        continue
      }
      waiting.remove(at: position)
      if case .end = command { return waiting }
      do {
        try perform(command)
      } catch {
        tell(error)
        replica.giveUp()
      }
      mailbox.finish(command)
    }
  }

  /// The command to carry out next; nil when one that is not here yet comes first.
  private func next() -> Int? {
    if let urgent = waiting.firstIndex(where: \.isUrgent) { return urgent }
    guard replica.isInStep else { return waiting.isEmpty ? nil : 0 }
    if replica.hasRoom {
      let ofStep = waiting.firstIndex(where: \.isStep) ?? waiting.count
      if let part = waiting[..<ofStep].firstIndex(where: \.isForward) { return part }
    }
    return waiting.firstIndex(where: \.isGradient)
  }

  private mutating func perform(_ command: ReplicaCommand<Element>) throws {
    switch command {
    case .step(let number, let samples): try replica.begin(number, samples: samples)
    case .forward(let part, let inputs): try replica.forward(part, inputs.extent) { inputs.write(to: $0) }
    case .gradient(let part, let values): try replica.backward(part, values)
    case .train(let part, let inputs, let targets, let normalizer):
      try replica.train(part, inputs.extent, targets, normalizer: normalizer) { inputs.write(to: $0) }
    case .infer(let number, let inputs): try replica.infer(number, inputs.extent) { inputs.write(to: $0) }
    case .order(let order): try replica.carryOut(order)
    case .begin, .abandon, .end, .stop: break
    }
  }

  private func tell(_ error: any Error) {
    let stored = (error as? FileError).map(ServiceError.init(ofStoredFiles:))
    let failure: (any Failure)? = stored ?? error as? any Failure
    answer(.failed(failure?.kind ?? .defect, failure?.description ?? "\(error)"))
  }
}

extension ReplicaCommand {
  fileprivate var isUrgent: Bool {
    if case .abandon = self { true } else { isOrder }
  }

  fileprivate var isStep: Bool {
    if case .step = self { true } else { false }
  }

  fileprivate var isForward: Bool {
    switch self {
    case .forward, .train: true
    default: false
    }
  }

  fileprivate var isGradient: Bool {
    if case .gradient = self { true } else { false }
  }
}
