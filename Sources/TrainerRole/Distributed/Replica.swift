import Files
import Foundations
import Numerics
import Training

/// One replica of a job's model: carries out the commands of the job's coordinator on an engine of its own.
///
/// Every `.step` leads to one summation of gradients at every replica, whatever happens in between: to the step's own, or to one
/// that tells all of them to give it up. So they never wait for each other in vain.
struct Replica<Element: FloatingElement> {
  private struct Step {
    let number: Int
    /// The samples of each part, within this replica's share.
    let parts: [Range<Int>]
    /// Numbers of the parts in the batch, as they come.
    var numbers: [Int] = []
    var forwarded = 0
    var withGradient = 0

    var rows: Int { parts.last?.upperBound ?? 0 }

    /// - Parameter samples: of each part.
    init(number: Int, samples: [Int]) {
      self.number = number
      var parts: [Range<Int>] = []
      parts.reserveCapacity(samples.count)
      for count in samples {
        let first = parts.last?.upperBound ?? 0
        parts.append(first..<first + count)
      }
      self.parts = parts
    }
  }

  private let engine: TrainingEngine<Element>
  private let reduction: CollectiveReduction<Element>?
  private let loss: LossFunction?
  private let mailbox: ReplicaMailbox<Element>
  /// At rank 0: its way to the store.
  private var context: RunnerContext<Element>?
  private let answer: (ReplicaAnswer<Element>) -> Void
  private var waiting: [ReplicaCommand<Element>] = []
  private var current: Step?

  /// - Parameter first: commands that came before those in the mailbox.
  init(
    engine: TrainingEngine<Element>, reduction: CollectiveReduction<Element>?, loss: LossFunction?,
    mailbox: ReplicaMailbox<Element>, context: RunnerContext<Element>?, _ first: [ReplicaCommand<Element>] = [],
    answer: @escaping (ReplicaAnswer<Element>) -> Void
  ) {
    self.engine = engine
    self.reduction = reduction
    self.loss = loss
    self.mailbox = mailbox
    self.context = context
    waiting = first
    self.answer = answer
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
        abandon(before: position)
        continue
      }
      waiting.remove(at: position)
      if case .end = command { return waiting }
      do {
        try perform(command)
      } catch {
        giveUp(error)
      }
      mailbox.finish(command)
    }
  }

  /// The command to carry out next; nil when one that is not here yet comes first.
  private func next() -> Int? {
    if let urgent = waiting.firstIndex(where: \.isUrgent) { return urgent }
    guard let current else { return waiting.isEmpty ? nil : 0 }
    if current.forwarded < current.parts.count, engine.hasRoom {
      let ofStep = waiting.firstIndex(where: \.isStep) ?? waiting.count
      if let part = waiting[..<ofStep].firstIndex(where: \.isForward) { return part }
    }
    return waiting.firstIndex(where: \.isGradient)
  }

  private mutating func perform(_ command: ReplicaCommand<Element>) throws {
    switch command {
    case .step(let number, let samples): try begin(number, samples)
    case .forward(let part, let inputs): try forward(part, inputs)
    case .gradient(let part, let values): try backward(part, values)
    case .train(let part, let inputs, let targets, let normalizer):
      try train(part, inputs, targets, normalizer: normalizer)
    case .infer(let number, let inputs):
      answer(
        .inferred(
          number, try engine.infer(rows: inputs.samples, sequences: inputs.sequences) { inputs.write(to: $0) }))
    case .save:
      try context?.saveCheckpoint()
      answer(.saved(step: engine.step))
    case .keep(let epoch, let metric): try context?.keepPresentWeights(epoch: epoch, metric: metric)
    case .commit(let step, let exactly): try commit(step, exactly: exactly)
    case .begin, .abandon, .end, .stop: break
    }
  }

  private mutating func begin(_ number: Int, _ samples: [Int]) throws {
    // After a step that was given up this one is, too.
    guard number == engine.step else { return engine.abandonStep() }
    let step = Step(number: number, samples: samples)
    current = step
    try engine.beginBatch(rows: step.rows)
    if step.parts.isEmpty { finishStep() }
  }

  private mutating func forward(_ part: Int, _ inputs: ReplicaInputs<Element>) throws {
    guard let outputs = try outputs(part, inputs), let step = current else { return }
    answer(.outputs(step: step.number, part: part, outputs))
  }

  /// Nil when the part belongs to a step that was given up.
  private mutating func outputs(_ part: Int, _ inputs: ReplicaInputs<Element>) throws -> Tensor<Element>? {
    guard var step = current else { return nil }
    let rows = step.parts[step.forwarded]
    guard inputs.samples == rows.count else {
      throw TrainerError(.defect, "part \(part) has \(inputs.samples) samples where \(rows.count) are due")
    }
    let outputs = try engine.forward(rows: rows, sequences: inputs.sequences) { inputs.write(to: $0) }
    step.forwarded += 1
    step.numbers.append(part)
    current = step
    return outputs
  }

  private mutating func train(
    _ part: Int, _ inputs: ReplicaInputs<Element>, _ targets: Targets<Element>, normalizer: Double
  ) throws {
    guard let outputs = try outputs(part, inputs), let loss, let step = current else { return }
    let result = try loss.evaluate(outputs: outputs, targets: targets, normalizer: normalizer)
    answer(.trained(step: step.number, part: part, lossSum: result.lossSum))
    try backward(part, result.gradient)
  }

  private mutating func backward(_ part: Int, _ gradient: Tensor<Element>) throws {
    guard var step = current else { return }
    guard step.withGradient < step.forwarded, step.numbers[step.withGradient] == part else {
      throw TrainerError(.defect, "the gradient of part \(part) came out of turn")
    }
    try engine.setOutputGradient(gradient, rows: step.parts[step.withGradient])
    step.withGradient += 1
    current = step
    if step.withGradient == step.parts.count { finishStep() }
  }

  private mutating func finishStep() {
    // Whatever comes of it, this step's summation is done.
    current = nil
    do {
      let report = try engine.finishStep()
      answer(.applied(report, waited: (reduction?.waited ?? .zero) / .seconds(1)))
    } catch TrainingError.nonFiniteGradient {
      // The same at every replica.
      tell(TrainingError.nonFiniteGradient)
    } catch TrainingError.notReduced {
      // Another replica gave the step up or is gone; the coordinator knows.
    } catch {
      tell(error)
      engine.abandonStep()
    }
  }

  private mutating func giveUp(_ error: any Error) {
    tell(error)
    guard current != nil else { return }
    current = nil
    engine.abandonStep()
  }

  private func tell(_ error: any Error) {
    let stored = (error as? CheckpointError).map(TrainerError.init(ofStoredFiles:))
    let failure: (any Failure)? = stored ?? error as? any Failure
    answer(.failed(failure?.kind ?? .defect, failure?.description ?? "\(error)"))
  }

  private mutating func abandon(before position: Int) {
    if current != nil { engine.abandonStep() }
    current = nil
    for command in waiting[..<position] where command.isStep { engine.abandonStep() }
    waiting.removeSubrange(...position)
    answer(.abandoned(step: engine.step))
  }

  private func commit(_ step: Int, exactly: Bool) throws {
    guard let context else { return }
    if exactly {
      try context.removeCheckpoints(before: step)
    } else {
      try context.commit(through: step)
    }
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
