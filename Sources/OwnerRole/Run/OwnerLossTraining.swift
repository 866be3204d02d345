import Models
import Datasets
import JobSpec
import Masking
import Numerics
import Training
import Protocol

/// Training with the loss at the owner: rows out, masked outputs back, masked gradients out, step by step.
///
/// Micro-batches overlap: while one's outputs travel and its loss is computed, the trainer works on the next; the next step's rows wait at
/// the trainer when an update ends.
struct OwnerLossTraining<Element: FloatingElement> {
  let context: RunContext<Element>
  private var samples: any MaskedSamples<Element>
  private let window: Int
  private var step: Int
  private var stepBegan: ContinuousClock.Instant
  /// The step and number of the next micro-batch to send, and how many are unanswered.
  private var nextStep: Int
  private var nextPart = 0
  private var unanswered = 0
  private var planned: PlannedBatches
  private var outputParts = 0
  private var lossSum = 0.0
  private var normalizer = 1.0

  private var description: JobDescription { context.description }

  /// Attaches to the job at the trainer and trains to its end.
  ///
  /// - Throws: `OwnerError.trainerGone` when the trainer is lost (call again after `greet`); `.interrupted`; `.diverged`; refusals.
  static func run(_ context: RunContext<Element>) throws {
    try context.connection.send(.attach(historySteps: context.history.steps))
    while true {
      if context.isInterrupted { try context.leave() }
      switch try context.nextMessage() {
      case .queued(let position): context.observe(.queued(position: position))
      case .finished: return
      case .attached(let step, let residentRows, let window, let kernel):
        var training = try OwnerLossTraining(context, step: step, residentRows: residentRows, window: window)
        try context.note(kernel: kernel, from: step)
        try training.train()
        return
      default: break
      }
    }
  }

  private init(_ context: RunContext<Element>, step: Int, residentRows: Int, window: Int) throws {
    self.context = context
    let description = context.description
    guard step <= context.history.steps, residentRows <= description.totalRows, window >= 1 else {
      throw OwnerError.protocolViolation("it goes on at step \(step), past the history here")
    }
    try context.rewindHistory(toStep: step)
    samples = context.samples
    samples.beginConversation(residentRows: residentRows)
    self.window = window
    planned = PlannedBatches(context.batches, stepsPerEpoch: description.stepsPerEpoch)
    self.step = step
    nextStep = step
    stepBegan = ContinuousClock().now
  }

  private mutating func train() throws {
    context.observe(.trainingStarts(step: step, totalSteps: description.totalSteps))
    // The checkpoint at an epoch's end is older than its evaluation, which is therefore due again.
    if step > 0, step % description.stepsPerEpoch == 0 { try evaluate() }
    while step < description.totalSteps {
      try beginStep()
      let end = (step / description.stepsPerEpoch + 1) * description.stepsPerEpoch
      while step < end {
        try sendRows(before: end)
        try receiveOne(epochEnd: end)
      }
      try evaluate()
    }
    try context.syncHistory()
    try context.connection.send(.finish)
    try context.connection.waitFor { message in
      if case .finished = message { return true }
      return nil as Bool?
    }
  }

  private mutating func sendRows(before end: Int) throws {
    while unanswered < window, nextStep < end, nextStep <= step + 1 {
      let slots = try planned.slots(ofStep: nextStep)
      if nextPart == 0, description.privacy != nil {
        // The trainer takes a step without rows when it hears of it.
        if slots.isEmpty { try context.countInLedger(step: nextStep) }
        try context.connection.send(.step(step: nextStep, rows: slots.count))
      }
      if !slots.isEmpty {
        let rows = part(nextPart, of: slots)
        let pass = context.batches.pass(ofStep: nextStep)
        let delivery = try context.measureReading { try samples.delivery(of: rows, pass: pass) }
        context.countAddedBytes(samples.bytesAdded(delivery))
        try context.connection.send(.batch(step: nextStep, part: nextPart, rows: delivery))
        unanswered += 1
        nextPart += 1
      }
      if nextPart * description.microBatch >= slots.count {
        nextStep += 1
        nextPart = 0
      }
    }
  }

  /// The slots of one micro-batch.
  private func part(_ number: Int, of slots: ArraySlice<Int32>) -> ArraySlice<Int32> {
    let first = slots.startIndex + number * description.microBatch
    return slots[first..<min(slots.endIndex, first + description.microBatch)]
  }

  private mutating func receiveOne(epochEnd: Int) throws {
    if context.isInterrupted { try saveAndLeave() }
    switch try context.nextMessage() {
    case .outputs(let outputStep, let part, let values):
      guard outputStep == step, part == outputParts else {
        throw OwnerError.protocolViolation(
          "outputs \(part) of step \(outputStep) where \(outputParts) of \(step) are due")
      }
      unanswered -= 1
      try answer(values, part: part)
    case .stepApplied(let applied, let gradientNorm, let learningRate):
      try recordStep(applied, gradientNorm: gradientNorm, learningRate: learningRate)
      if step < epochEnd { try beginStep() }
    case .checkpointed(let saved): try context.commit(step: saved)
    default: break
    }
  }

  private mutating func recordStep(_ applied: Int, gradientNorm: Double, learningRate: Double) throws {
    guard applied == step else {
      throw OwnerError.protocolViolation("step \(applied) applied where \(step) is under way")
    }
    let now = ContinuousClock().now
    try context.record(
      .step(
        step: step, loss: lossSum / normalizer, learningRate: learningRate, gradientNorm: gradientNorm,
        seconds: stepBegan.duration(to: now) / .seconds(1)),
      rows: try planned.trainedSlots(ofStep: step).count)
    stepBegan = now
    step += 1
  }

  /// On Ctrl-C: asks the trainer to save, and records the step it may have applied meanwhile, so that the history reaches the checkpoint.
  private mutating func saveAndLeave() throws -> Never {
    try context.connection.send(.save)
    while true {
      switch try context.nextMessage() {
      case .stepApplied(let applied, let gradientNorm, let learningRate):
        try recordStep(applied, gradientNorm: gradientNorm, learningRate: learningRate)
      case .checkpointed(let saved):
        try context.commit(step: saved)
        try context.leave()
      default: break
      }
    }
  }

  private mutating func beginStep() throws {
    outputParts = 0
    lossSum = 0
    normalizer = Double(max(1, try samples.observedCount(of: planned.trainedSlots(ofStep: step))))
  }

  private mutating func answer(_ masked: Tensor<Element>, part: Int) throws {
    let sent = self.part(part, of: try planned.slots(ofStep: step))
    let trained = try sent.prefix(max(0, planned.trainedSlots(ofStep: step).count - part * description.microBatch))
    guard masked.shape == [try samples.outputRows(of: sent), context.prepared.shape.data.outputs] else {
      throw OwnerError.protocolViolation("outputs of shape \(masked.shape)")
    }
    samples.arrived(sent)
    let gradient = try context.measureLoss { () throws -> Tensor<Element> in
      guard masked.allFinite else { throw OwnerError.diverged(step: step) }
      guard !trained.isEmpty else { return Tensor(zeros: masked.shape) }
      let outputs = try context.keys.unmaskOutputs(masked)
      let own = trained.count == sent.count ? outputs : outputs.slice(rows: 0..<(try samples.outputRows(of: trained)))
      let targets = try samples.targets(of: trained, pass: context.batches.pass(ofStep: step))
      let result =
        try description.privacy == nil
        ? context.loss.evaluate(outputs: own, targets: targets, normalizer: normalizer)
        : context.loss.evaluateEachSample(
          outputs: own, targets: targets, sequences: try samples.outputLayout(of: trained))
      lossSum += result.lossSum
      return try context.keys.maskOutputGradient(result.gradient.extended(toRows: masked.rows))
    }
    outputParts += 1
    try context.countInLedger(step: step)
    try context.connection.send(.gradient(step: step, part: part, values: gradient))
  }

  private mutating func evaluate() throws {
    guard context.validates else { return }
    let epoch = step / description.stepsPerEpoch - 1
    let start = ContinuousClock().now
    let slots = context.prepared.plan.validationSlots
    var metrics = MetricAccumulator(task: context.prepared.job.task)
    var sum = 0.0
    var observed = 0
    var sentUpTo = slots.lowerBound
    var answeredUpTo = slots.lowerBound
    let size = description.evaluationRows
    while answeredUpTo < slots.upperBound {
      while sentUpTo < slots.upperBound, (sentUpTo - answeredUpTo) / size < window {
        let rows = (sentUpTo..<min(slots.upperBound, sentUpTo + size)).map { Int32($0) }
        let delivery = try context.measureReading { try samples.delivery(of: rows[...], pass: epoch) }
        context.countAddedBytes(samples.bytesAdded(delivery))
        try context.connection.send(.evaluate(epoch: epoch, part: (sentUpTo - slots.lowerBound) / size, rows: delivery))
        sentUpTo += rows.count
      }
      if context.isInterrupted { try saveAndLeave() }
      switch try context.nextMessage() {
      case .evaluated(let evaluated, let part, let masked):
        let rows = (answeredUpTo..<min(slots.upperBound, answeredUpTo + size)).map { Int32($0) }
        guard evaluated == epoch, part == (answeredUpTo - slots.lowerBound) / size,
          masked.shape == [try samples.outputRows(of: rows[...]), context.prepared.shape.data.outputs]
        else { throw OwnerError.protocolViolation("an evaluation that was not asked for") }
        samples.arrived(rows[...])
        try context.measureLoss {
          guard masked.allFinite else { throw OwnerError.diverged(step: step) }
          let outputs = try context.keys.unmaskOutputs(masked)
          let targets = try samples.targets(of: rows[...], pass: epoch)
          sum += try context.loss.evaluate(outputs: outputs, targets: targets, normalizer: 1).lossSum
          observed += targets.observedCount
          try metrics.add(outputs: outputs, targets: targets)
        }
        answeredUpTo += rows.count
      case .checkpointed(let saved): try context.commit(step: saved)
      default: break
      }
    }
    let result = metrics.result()
    let isBest = context.isBest(result)
    if isBest, description.keep == .best { try context.connection.send(.keep(epoch: epoch)) }
    try context.record(
      .evaluation(
        epoch: epoch, step: step, loss: sum / Double(max(1, observed)), metrics: result.valuesByName, kept: isBest,
        seconds: start.duration(to: ContinuousClock().now) / .seconds(1)), rows: 0)
    stepBegan = ContinuousClock().now
  }
}

extension Tensor {
  /// With rows of zeros after its own; `rows` is at least as many as there are.
  fileprivate func extended(toRows count: Int) -> Tensor<Element> {
    guard count > rows else { return self }
    return Tensor(elements + [Element](repeating: 0, count: (count - rows) * columns), shape: [count, columns])
  }
}
