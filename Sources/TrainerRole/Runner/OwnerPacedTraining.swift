import Models
import Collectives
import Foundations
import Numerics
import Training
import Protocol
import Service

/// Training whose loss the owner computes, and masked inference: a state machine driven by the owner's messages. It hands the
/// owner's micro-batches to the replicas, and their outputs, in order, to the owner.
///
/// A step is applied once or not at all: each part's gradient comes back in order, and the update runs when the last is in. Inputs
/// of the next step may arrive before that and wait.
///
/// A part goes forward as soon as a replica has room for it, before any gradient that waits: while its outputs travel, and
/// its loss is computed, the backward pass of the part before runs.
struct OwnerPacedTraining<Element: FloatingElement> {
  /// Micro-batches an owner may have unanswered, at most; see `window`.
  ///
  /// Below the messages that a transport queues for an owner, with room for what is not an answer (checkpoints, pongs).
  static var largestWindow: Int { 32 }

  private var common: Coordination<Element>
  private var inputs: DeliveredInputs<Element>
  private let window: Int

  /// Parts that no replica has yet, in order of arrival, of the present step and those after it.
  private var waiting: [(step: Int, part: Int, rows: RowDelivery<Element>)] = []
  /// Of steps that replicas were told of; how many parts of each they have.
  private var assignments: [Int: PartAssignment] = [:]
  private var handedOut: [Int: Int] = [:]
  private var tokens: [Int: Int] = [:]
  /// Outputs that wait for those of earlier parts.
  private var outputs: [Int: [Int: Tensor<Element>]] = [:]
  private var answeredParts = 0
  private var gradientParts = 0
  private var unanswered = 0
  /// Evaluations in order, with the outputs that are there.
  private var evaluations: [(number: Int, epoch: Int, part: Int, values: Tensor<Element>?)] = []
  private var evaluationCount = 0
  private var progress: ProgressMeter

  init(_ common: Coordination<Element>, inputs: DeliveredInputs<Element>, inputWidth: Int) {
    self.common = common
    self.inputs = inputs
    window = Self.window(common.description, width: inputWidth)
    progress = ProgressMeter(
      job: common.job.id, totalSteps: common.description.totalSteps, metrics: common.configuration.metrics)
  }

  /// What 64 MB of inputs allow; for sequences at least a part that is worked on, one that waits and one that travels.
  static func window(_ description: JobDescription, width: Int) -> Int {
    let isOfSequences = description.graph.maximumTokens != nil
    // Evaluations of rows come in parts of up to a whole batch. Validation bounds each factor, but not their product.
    let part = Shape.byteCount(
      [description.evaluationRows, description.graph.maximumTokens ?? 1, width], Element.elementType)
    return min(largestWindow, max(isOfSequences ? 3 : 2, (64 << 20) / max(1, part ?? .max)))
  }

  private var description: JobDescription { common.description }

  mutating func run() throws -> RunnerOutcome {
    common.send(
      .attached(
        step: common.step, residentRows: inputs.residentRows, window: window, kernel: common.kernel.text))
    do {
      while true {
        switch common.inbox.nextEvent(includingItems: true) {
        case .item(.stop(.cancelled)):
          settle()
          return .cancelled
        case .item(.stop(let reason)): return try pause(reason.outcome)
        case .item(.message(let message)):
          if let outcome = try handle(message) { return outcome }
        case .answer(let rank, let answer):
          if let outcome = try handle(answer, rank: rank) { return outcome }
        case .lost(let error):
          common.noteLostRank(error)
          return try pause { .paused(step: $0, reason: error.description) }
        }
      }
    } catch {
      settle()
      throw error
    }
  }

  private mutating func handle(_ message: OwnerMessage<Element>) throws -> RunnerOutcome? {
    switch message {
    case .step(let step, let rows): try open(step, rows: rows)
    case .batch(let step, let part, let delivery): try take(delivery, step: step, part: part)
    case .gradient(let step, let part, let values): try takeGradient(step: step, part: part, values: values)
    case .evaluate(let epoch, let part, let delivery): try evaluate(delivery, epoch: epoch, part: part)
    case .keep(let epoch):
      guard isBetweenSteps else { throw WireError.outOfOrder("keep inside a step") }
      try common.replicas.order(.keep(epoch: epoch, metric: nil))
    case .commit(let step): try common.replicas.order(.commit(step: step, exactly: false))
    case .save: try common.replicas.order(.save)
    case .finish:
      guard description.purpose == .inference || common.step == description.totalSteps else {
        throw WireError.outOfOrder("finish after \(common.step) of \(description.totalSteps) steps")
      }
      settle()
      if description.purpose == .training { try common.save() }
      return .finished(steps: common.step)
    case .leave: return try pause { .paused(step: $0, reason: "its owner left") }
    default: throw WireError.outOfOrder("a message that does not belong to training")
    }
    return nil
  }

  private var isBetweenSteps: Bool { waiting.isEmpty && assignments[common.step] == nil }

  // MARK: - Micro-batches

  /// Takes note of how many rows a step of a private job has; one without rows needs nothing more.
  private mutating func open(_ step: Int, rows: Int) throws {
    guard description.privacy != nil else { throw WireError.outOfOrder("rows of a step are stated for private jobs") }
    let isDue = step == common.step || (step == common.step + 1 && common.isOpen(common.step))
    guard isDue, step < description.totalSteps, !common.isOpen(step) else {
      throw WireError.outOfOrder("the rows of step \(step) are stated during step \(common.step)")
    }
    guard rows <= description.batch else {
      throw WireError.oversized(what: "a step's batch", size: rows, limit: description.batch)
    }
    common.sizes[step] = rows
    try handOut()
  }

  private mutating func take(_ delivery: RowDelivery<Element>, step: Int, part: Int) throws {
    guard description.purpose == .training else { throw WireError.outOfOrder("a batch for masked inference") }
    guard common.isOpen(step) else { throw WireError.outOfOrder("rows of step \(step) before the number of them") }
    try inputs.check(delivery, slotLimit: description.totalRows)
    guard unanswered < window else { throw WireError.outOfOrder("more micro-batches than the window of \(window)") }
    waiting.append((step, part, delivery))
    unanswered += 1
    try handOut()
  }

  /// Gives replicas what they can have: the present step's parts, and the next one's so that they go on with it at once.
  private mutating func handOut() throws {
    try handOut(common.step)
    let isWhole =
      common.isOpen(common.step) && handedOut[common.step, default: 0] == common.partCount(ofStep: common.step)
    // A step after which a checkpoint is due ends first.
    if isWhole, !common.replicas.isImmediate, (common.step + 1) % description.checkpointEverySteps != 0 {
      try handOut(common.step + 1)
    }
    guard let next = waiting.first, next.step != common.step else { return }
    guard isWhole, next.step == common.step + 1 else {
      throw WireError.outOfOrder("rows of step \(next.step) during step \(common.step)")
    }
  }

  private mutating func handOut(_ step: Int) throws {
    guard common.isOpen(step) else { return }
    try checkParts(ofStep: step)
    if assignments[step] == nil {
      guard let assignment = assignment(ofStep: step) else { return }
      assignments[step] = assignment
      try common.begin(step: step, assignment)
    }
    while common.replicas.hasRoom, let next = waiting.first, next.step == step {
      waiting.removeFirst()
      try forward(next.rows, step: step)
      // Its outputs leave before the next part is worked on.
      if common.replicas.isImmediate { break }
    }
  }

  /// That those of a step which wait come in order, and have as many samples as they must.
  private func checkParts(ofStep step: Int) throws(WireError) {
    var due = handedOut[step] ?? 0
    for next in waiting {
      guard next.step == step else { return }
      guard next.part == due, due < common.partCount(ofStep: step), step < description.totalSteps else {
        throw .outOfOrder("part \(next.part) of step \(step) where part \(due) is due")
      }
      let samples = common.samples(ofPart: due, step: step)
      guard next.rows.count == samples else {
        throw .misshapen("part \(due) has \(next.rows.count) rows where \(samples) are due")
      }
      due += 1
    }
  }

  /// Which replica works on which part of a step, nil while that is to wait for more of them.
  private func assignment(ofStep step: Int) -> PartAssignment? {
    let arrived = waiting.prefix { $0.step == step }
    let parts = common.partCount(ofStep: step)
    guard parts > 0 else { return PartAssignment(parts: 0, replicas: common.replicas.size) }
    guard !arrived.isEmpty else { return nil }
    // The owner sends all of them without an answer.
    guard common.replicas.size > 1, parts <= window else {
      return PartAssignment(parts: parts, replicas: common.replicas.size)
    }
    guard arrived.count == parts else { return nil }
    return PartAssignment(costs: arrived.map { extent(of: $0.rows).rows }, replicas: common.replicas.size)
  }

  private mutating func forward(_ delivery: RowDelivery<Element>, step: Int) throws {
    let part = handedOut[step] ?? 0
    guard let ranks = assignments[step]?.ranks else { return }
    handedOut[step] = part + 1
    if delivery.hasSequences { tokens[step, default: 0] += delivery.values.rows }
    try common.replicas.forward(part: part, extent(of: delivery), on: ranks[part]) {
      try inputs.place(delivery, into: $0)
    }
  }

  private func extent(of delivery: RowDelivery<Element>) -> PartExtent {
    PartExtent(samples: delivery.count, sequences: inputs.layout(of: delivery))
  }

  private mutating func takeGradient(step: Int, part: Int, values: Tensor<Element>) throws {
    guard step == common.step, part == gradientParts, part < answeredParts, let ranks = assignments[step]?.ranks else {
      throw WireError.outOfOrder("gradient \(part) of step \(step) during step \(common.step)")
    }
    gradientParts += 1
    try common.replicas.backward(part: part, values, on: ranks[part])
    // There may be room now.
    try handOut()
  }

  private mutating func evaluate(_ delivery: RowDelivery<Element>, epoch: Int, part: Int) throws {
    guard isBetweenSteps else { throw WireError.outOfOrder("an evaluation inside a step") }
    guard evaluations.count < window else {
      throw WireError.outOfOrder("more evaluations than the window of \(window)")
    }
    try inputs.check(delivery, slotLimit: description.totalRows)
    guard delivery.count <= description.evaluationRows else {
      throw WireError.oversized(
        what: "evaluation micro-batch", size: delivery.count, limit: description.evaluationRows)
    }
    let number = evaluationCount
    evaluations.append((number, epoch, part, nil))
    evaluationCount += 1
    try common.replicas.infer(number, extent(of: delivery), on: number % common.replicas.size) {
      try inputs.place(delivery, into: $0)
    }
  }

  // MARK: - Answers

  private mutating func handle(_ answer: ReplicaAnswer<Element>, rank: Int) throws -> RunnerOutcome? {
    switch answer {
    case .outputs(let step, let part, let values):
      outputs[step, default: [:]][part] = values
      answerInOrder()
      try handOut()
    case .inferred(let number, let values):
      guard let position = evaluations.firstIndex(where: { $0.number == number }) else { return nil }
      evaluations[position].values = values
      while let first = evaluations.first, let values = first.values {
        common.send(.evaluated(epoch: first.epoch, part: first.part, values: values))
        evaluations.removeFirst()
      }
    case .applied(let report, let waited):
      common.count(report, waited: waited)
      guard rank == 0 else { return nil }
      common.step = report.step + 1
      tell(report)
      common.sizes[report.step] = nil
      assignments[report.step] = nil
      handedOut[report.step] = nil
      outputs[report.step] = nil
      (answeredParts, gradientParts) = (0, 0)
      // Every turn takes a step at least.
      if common.inbox.isTurnOver, common.step < description.totalSteps { return try pause(StopReason.turnOver.outcome) }
      if common.step % description.checkpointEverySteps == 0 { try common.replicas.order(.save) }
      answerInOrder()
      try handOut()
    case .saved(let step): common.send(.checkpointed(step: step))
    case .failed(let kind, let text): throw ServiceError(kind, text)
    case .trained, .abandoned, .ended: break
    }
    return nil
  }

  private mutating func answerInOrder() {
    while let values = outputs[common.step]?[answeredParts] {
      outputs[common.step]?[answeredParts] = nil
      common.send(.outputs(step: common.step, part: answeredParts, values: values))
      answeredParts += 1
      unanswered -= 1
    }
  }

  private mutating func tell(_ report: StepReport) {
    common.send(
      .stepApplied(step: report.step, gradientNorm: report.gradientNorm, learningRate: report.learningRate))
    progress.count(
      rows: common.rows(ofStep: report.step), tokens: tokens.removeValue(forKey: report.step) ?? 0,
      step: report.step + 1, report: common.report)
  }

  // MARK: - The end

  /// Gives up what is under way, and tells the owner of a step that was taken meanwhile.
  private mutating func settle() {
    for case (let rank, .applied(let report, let waited)) in common.settle() {
      common.count(report, waited: waited)
      if rank == 0 { tell(report) }
    }
  }

  /// - Parameter outcome: makes it of the steps that are saved; a rank that is gone comes first.
  private mutating func pause(_ outcome: (Int) -> RunnerOutcome) throws -> RunnerOutcome {
    settle()
    if description.purpose == .training { try common.save() }
    if let error = common.lostRank { return .paused(step: common.step, reason: error.description) }
    return outcome(common.step)
  }
}
