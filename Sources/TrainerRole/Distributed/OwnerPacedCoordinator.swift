import Models
import Collectives
import Foundations
import Numerics
import Training
import Protocol

/// `OwnerPacedTraining` on several replicas: hands the owner's micro-batches to them, and their outputs, in order, to the owner.
struct OwnerPacedCoordinator<Element: FloatingElement> {
  private var common: Coordination<Element>
  private var inputs: DeliveredInputs<Element>
  private let window: Int

  /// The next micro-batch to arrive.
  private var arrivingStep: Int
  private var arrivingPart = 0
  /// Parts that no replica has yet, of the steps from `step` on.
  private var held: [Int: [ReplicaInputs<Element>]] = [:]
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
    arrivingStep = common.step
    window = OwnerPacedTraining<Element>.window(common.description, width: inputWidth)
    progress = ProgressMeter(
      job: common.job.id, totalSteps: common.description.totalSteps, metrics: common.configuration.metrics)
  }

  private var description: JobDescription { common.description }

  mutating func run() throws -> RunnerOutcome {
    common.send(.attached(step: common.step, residentRows: inputs.residentRows, window: window))
    do {
      while true {
        switch common.inbox.nextEvent(includingItems: true) {
        case .item(.stop(.cancelled)):
          settle()
          return .cancelled
        case .item(.stop(let reason)): return try pause(reason.text)
        case .item(.message(let message)):
          if let outcome = try handle(message) { return outcome }
        case .answer(let rank, let answer): try handle(answer, rank: rank)
        case .lost(let error):
          common.noteLostRank(error)
          return try pause(error.description)
        }
      }
    } catch {
      settle()
      throw error
    }
  }

  private mutating func handle(_ message: OwnerMessage<Element>) throws -> RunnerOutcome? {
    switch message {
    case .batch(let step, let part, let delivery): try take(delivery, step: step, part: part)
    case .gradient(let step, let part, let values): try takeGradient(step: step, part: part, values: values)
    case .evaluate(let epoch, let part, let delivery): try evaluate(delivery, epoch: epoch, part: part)
    case .keep(let epoch):
      guard isBetweenSteps else { throw WireError.outOfOrder("keep inside a step") }
      try common.order(.keep(epoch: epoch, metric: nil))
    case .commit(let step): try common.order(.commit(step: step, exactly: false))
    case .save: try common.order(.save)
    case .finish:
      guard description.purpose == .inference || common.step == description.totalSteps else {
        throw WireError.outOfOrder("finish after \(common.step) of \(description.totalSteps) steps")
      }
      settle()
      if description.purpose == .training { try common.save() }
      return .finished(steps: common.step)
    case .leave: return try pause("its owner left")
    default: throw WireError.outOfOrder("a message that does not belong to training")
    }
    return nil
  }

  private var isBetweenSteps: Bool { arrivingStep == common.step && arrivingPart == 0 }

  // MARK: - Micro-batches

  private mutating func take(_ delivery: RowDelivery<Element>, step: Int, part: Int) throws {
    guard description.purpose == .training else { throw WireError.outOfOrder("a batch for masked inference") }
    try inputs.check(delivery, slotLimit: description.totalRows)
    guard unanswered < window else { throw WireError.outOfOrder("more micro-batches than the window of \(window)") }
    guard step == common.step || step == common.step + 1, step < description.totalSteps else {
      throw WireError.outOfOrder("rows of step \(step) during step \(common.step)")
    }
    guard step == arrivingStep, part == arrivingPart else {
      throw WireError.outOfOrder(
        "part \(part) of step \(step) where part \(arrivingPart) of step \(arrivingStep) is due")
    }
    let samples = common.samples(ofPart: part, step: step)
    guard delivery.count == samples else {
      throw WireError.misshapen("part \(part) has \(delivery.count) rows where \(samples) are due")
    }
    held[step, default: []].append(try placed(delivery))
    if delivery.hasSequences { tokens[step, default: 0] += delivery.values.rows }
    unanswered += 1
    arrivingPart += 1
    if arrivingPart == common.partCount(ofStep: step) { (arrivingStep, arrivingPart) = (step + 1, 0) }
    handOut()
  }

  /// The inputs that a delivery is or names.
  private mutating func placed(_ delivery: RowDelivery<Element>) throws -> ReplicaInputs<Element> {
    let layout = inputs.layout(of: delivery)
    guard let layout else {
      var values = Tensor<Element>(uninitialized: [delivery.count, inputs.width])
      try values.withUnsafeMutableBufferPointer { try inputs.place(delivery, into: $0) }
      return ReplicaInputs(values: values, sequences: nil)
    }
    return ReplicaInputs(values: delivery.values, sequences: layout)
  }

  /// Gives replicas what they can have: the present step's parts, and the next one's so that they go on with it at once.
  private mutating func handOut() {
    handOut(common.step)
    // A step after which a checkpoint is due ends first.
    if (common.step + 1) % description.checkpointEverySteps != 0 { handOut(common.step + 1) }
  }

  private mutating func handOut(_ step: Int) {
    guard let waiting = held[step], !waiting.isEmpty else { return }
    let parts = common.partCount(ofStep: step)
    if assignments[step] == nil {
      let assignment: PartAssignment
      if parts <= window {
        // The owner sends all of them without an answer.
        guard waiting.count == parts else { return }
        assignment = PartAssignment(costs: waiting.map(\.cost), replicas: common.group.size)
      } else {
        assignment = PartAssignment(parts: parts, replicas: common.group.size)
      }
      assignments[step] = assignment
      common.begin(step: step, assignment)
    }
    guard let ranks = assignments[step]?.ranks else { return }
    var next = handedOut[step] ?? 0
    for inputs in waiting {
      common.group.send(.forward(part: next, inputs), to: ranks[next])
      next += 1
    }
    handedOut[step] = next
    held[step] = []
  }

  private mutating func takeGradient(step: Int, part: Int, values: Tensor<Element>) throws {
    guard step == common.step, part == gradientParts, part < answeredParts, let ranks = assignments[step]?.ranks else {
      throw WireError.outOfOrder("gradient \(part) of step \(step) during step \(common.step)")
    }
    gradientParts += 1
    common.group.send(.gradient(part: part, values), to: ranks[part])
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
    let inputs = try placed(delivery)
    evaluations.append((evaluationCount, epoch, part, nil))
    common.group.send(.infer(evaluationCount, inputs), to: evaluationCount % common.group.size)
    evaluationCount += 1
  }

  // MARK: - Answers

  private mutating func handle(_ answer: ReplicaAnswer<Element>, rank: Int) throws {
    switch answer {
    case .outputs(let step, let part, let values):
      outputs[step, default: [:]][part] = values
      answerInOrder()
    case .inferred(let number, let values):
      guard let position = evaluations.firstIndex(where: { $0.number == number }) else { return }
      evaluations[position].values = values
      while let first = evaluations.first, let values = first.values {
        common.send(.evaluated(epoch: first.epoch, part: first.part, values: values))
        evaluations.removeFirst()
      }
    case .applied(let report, let waited):
      common.count(report, waited: waited)
      guard rank == 0 else { return }
      common.step = report.step + 1
      tell(report)
      assignments[report.step] = nil
      handedOut[report.step] = nil
      held[report.step] = nil
      outputs[report.step] = nil
      (answeredParts, gradientParts) = (0, 0)
      if common.step % description.checkpointEverySteps == 0 { common.group.send(.save, to: 0) }
      answerInOrder()
      handOut()
    case .saved(let step): common.send(.checkpointed(step: step))
    case .failed(let kind, let text): throw TrainerError(kind, text)
    case .trained, .abandoned, .ended: break
    }
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
      rows: description.rows(ofStep: report.step), tokens: tokens.removeValue(forKey: report.step) ?? 0,
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

  private mutating func pause(_ reason: String) throws -> RunnerOutcome {
    settle()
    if description.purpose == .training { try common.save() }
    return .paused(step: common.step, reason: common.lostRank?.description ?? reason)
  }
}
