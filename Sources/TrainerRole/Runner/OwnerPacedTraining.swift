import Models
import Files
import Foundations
import Numerics
import Training
import Protocol

/// Training whose loss the owner computes, and masked inference: a state machine driven by the owner's messages.
///
/// A step is applied once or not at all: its parts go forward in order, each part's gradient comes back in order, and the update runs
/// when the last is in. Inputs of the next step may arrive before that and wait.
///
/// A part goes forward as soon as the engine has room for it, before any gradient that waits: while its outputs travel, and
/// its loss is computed, the backward pass of the part before runs.
struct OwnerPacedTraining<Element: FloatingElement> {
  /// Micro-batches an owner may have unanswered, at most; see `window`.
  ///
  /// Below the messages that a transport queues for an owner, with room for what is not an answer (checkpoints, pongs).
  static var largestWindow: Int { 32 }

  private var context: RunnerContext<Element>
  private let inbox: Inbox<Element>
  private var inputs: DeliveredInputs<Element>
  private let window: Int
  private let slotLimit: Int

  /// Parts of the present step that went forward, and whose gradients are in.
  private var forwardedRows = 0
  private var forwardedParts = 0
  /// Tokens of the parts that went forward, where samples are sequences.
  private var forwardedTokens = 0
  private var gradientParts = 0
  private var gradientRows = 0
  /// Inputs of the next step, in order of arrival.
  private var waiting: [(step: Int, part: Int, rows: RowDelivery<Element>)] = []
  private var progress: ProgressMeter

  init(context: RunnerContext<Element>, inbox: Inbox<Element>) throws {
    self.context = context
    self.inbox = inbox
    slotLimit = context.description.totalRows
    inputs = try DeliveredInputs(context)
    window = Self.window(context.description, width: context.engine.model.inputWidth)
    progress = ProgressMeter(
      job: context.job.id, totalSteps: context.description.totalSteps, metrics: context.configuration.metrics)
  }

  /// What 64 MB of inputs allow; for sequences at least a part that is worked on, one that waits and one that travels.
  static func window(_ description: JobDescription, width: Int) -> Int {
    let isOfSequences = description.model.maximumTokens != nil
    // Evaluations of rows come in parts of up to a whole batch. Validation bounds each factor, but not their product.
    let part = Shape.byteCount(
      [description.evaluationRows, description.model.maximumTokens ?? 1, width], Element.elementType)
    return min(largestWindow, max(isOfSequences ? 3 : 2, (64 << 20) / max(1, part ?? .max)))
  }

  mutating func run() throws -> RunnerOutcome {
    context.send(.attached(step: context.engine.step, residentRows: inputs.residentRows, window: window))
    while true {
      switch inbox.next() {
      case .stop(.cancelled): return .cancelled
      case .stop(let reason): return try pause(reason.text)
      case .message(let message):
        if let outcome = try handle(message) { return outcome }
      }
    }
  }

  private mutating func handle(_ message: OwnerMessage<Element>) throws -> RunnerOutcome? {
    switch message {
    case .batch(let step, let part, let delivery):
      guard context.description.purpose == .training else { throw WireError.outOfOrder("a batch for masked inference") }
      try inputs.check(delivery, slotLimit: slotLimit)
      waiting.append((step, part, delivery))
      guard waiting.count <= window else {
        throw WireError.outOfOrder("more micro-batches than the window of \(window)")
      }
      try forwardWaiting()
    case .gradient(let step, let part, let values):
      try takeGradient(step: step, part: part, values: values)
      try forwardWaiting()
    case .evaluate(let epoch, let part, let delivery):
      guard forwardedParts == 0, waiting.isEmpty else { throw WireError.outOfOrder("an evaluation inside a step") }
      try inputs.check(delivery, slotLimit: slotLimit)
      context.send(.evaluated(epoch: epoch, part: part, values: try infer(delivery)))
    case .keep(let epoch):
      guard forwardedParts == 0 else { throw WireError.outOfOrder("keep inside a step") }
      try context.keepPresentWeights(epoch: epoch, metric: nil)
    case .commit(let step): try context.commit(through: step)
    case .save:
      try saveAndTell()
    case .finish:
      guard context.description.purpose == .inference || context.engine.step == context.description.totalSteps else {
        throw WireError.outOfOrder("finish after \(context.engine.step) of \(context.description.totalSteps) steps")
      }
      if context.description.purpose == .training { try context.saveCheckpoint() }
      return .finished(steps: context.engine.step)
    case .leave:
      return try pause("its owner left")
    default:
      throw WireError.outOfOrder("a message that does not belong to training")
    }
    return nil
  }

  private mutating func forwardWaiting() throws {
    while let next = waiting.first, next.step == context.engine.step, gradientParts == 0 || forwardedRows < stepRows,
      context.engine.hasRoom
    {
      guard next.part == forwardedParts, forwardedRows < stepRows else {
        throw WireError.outOfOrder("part \(next.part) of step \(next.step) where part \(forwardedParts) is due")
      }
      let expected = min(context.description.microBatch, stepRows - forwardedRows)
      guard next.rows.count == expected else {
        throw WireError.misshapen("part \(next.part) has \(next.rows.count) rows where \(expected) are due")
      }
      waiting.removeFirst()
      if forwardedParts == 0 { try context.engine.beginBatch(rows: stepRows) }
      let range = forwardedRows..<(forwardedRows + expected)
      let outputs = try context.engine.forward(rows: range, sequences: inputs.layout(of: next.rows)) { destination in
        try inputs.place(next.rows, into: destination)
      }
      forwardedRows = range.upperBound
      forwardedParts += 1
      if next.rows.hasSequences { forwardedTokens += next.rows.values.rows }
      context.send(.outputs(step: next.step, part: next.part, values: outputs))
    }
    if let next = waiting.first, next.step != context.engine.step, next.step != context.engine.step + 1 {
      throw WireError.outOfOrder("rows of step \(next.step) during step \(context.engine.step)")
    }
  }

  private mutating func takeGradient(step: Int, part: Int, values: Tensor<Element>) throws {
    guard step == context.engine.step, part == gradientParts, part < forwardedParts else {
      throw WireError.outOfOrder("gradient \(part) of step \(step) during step \(context.engine.step)")
    }
    let range = gradientRows..<min(gradientRows + context.description.microBatch, stepRows)
    try context.engine.setOutputGradient(values, rows: range)
    gradientRows = range.upperBound
    gradientParts += 1
    guard gradientRows == stepRows else { return }
    let applied = try context.engine.finishStep()
    (forwardedRows, forwardedParts, gradientRows, gradientParts) = (0, 0, 0, 0)
    context.send(
      .stepApplied(step: step, gradientNorm: applied.gradientNorm, learningRate: applied.learningRate))
    progress.count(
      rows: range.upperBound, tokens: forwardedTokens, step: context.engine.step, report: context.report)
    forwardedTokens = 0
    if context.engine.step % context.description.checkpointEverySteps == 0 { try saveAndTell() }
  }

  private mutating func infer(_ delivery: RowDelivery<Element>) throws -> Tensor<Element> {
    guard delivery.count <= context.description.evaluationRows else {
      throw WireError.oversized(
        what: "evaluation micro-batch", size: delivery.count, limit: context.description.evaluationRows)
    }
    return try context.engine.infer(rows: delivery.count, sequences: inputs.layout(of: delivery)) { destination in
      try inputs.place(delivery, into: destination)
    }
  }

  /// Rows of the step in progress.
  private var stepRows: Int { context.description.rows(ofStep: context.engine.step) }

  private func saveAndTell() throws {
    try context.saveCheckpoint()
    context.send(.checkpointed(step: context.engine.step))
  }

  private func pause(_ reason: String) throws -> RunnerOutcome {
    if context.description.purpose == .training { try context.saveCheckpoint() }
    return .paused(step: context.engine.step, reason: reason)
  }
}
