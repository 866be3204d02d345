import Models
import Protocol

/// Which samples each step of a job takes, by their slots, and how the trainer is told of the job.
package protocol JobBatches: Sendable {
  /// The slots of an epoch in the order in which they are sent.
  func order(epoch: Int) -> [Int32]

  /// The part of an epoch's order that its batch `index` sends.
  func range(ofBatch index: Int) -> Range<Int>

  /// How many of a batch's samples, the first ones, are trained on. The rest fills it up, and has gradients of zero.
  func trainedSamples(ofBatch index: Int) -> Int

  /// The slots of a step whose batch is drawn for it alone; nil where batches are parts of an epoch's order.
  func drawnSlots(ofStep step: Int) throws -> [Int32]?

  /// Which pass over the rows a step belongs to: what orders of tokens are drawn for.
  func pass(ofStep step: Int) -> Int
}

extension TrainingPlan: JobBatches {
  package func trainedSamples(ofBatch index: Int) -> Int { range(ofBatch: index).count }

  package func pass(ofStep step: Int) -> Int { step / stepsPerEpoch }
}

extension JobBatches {
  package func drawnSlots(ofStep step: Int) throws -> [Int32]? { nil }
}

/// The batches of a job, step by step: an epoch's order, and the last steps that were drawn alone, are kept.
package struct PlannedBatches {
  private let batches: any JobBatches
  private let stepsPerEpoch: Int
  private var order: (epoch: Int, slots: [Int32]) = (-1, [])
  private var drawn: [(step: Int, slots: [Int32])] = []

  package init(_ batches: any JobBatches, stepsPerEpoch: Int) {
    self.batches = batches
    self.stepsPerEpoch = stepsPerEpoch
  }

  package init(_ plan: TrainingPlan) {
    self.init(plan, stepsPerEpoch: plan.stepsPerEpoch)
  }

  /// The slots that step `step` sends; none in some steps of a private job.
  ///
  /// - Throws: as `JobBatches.drawnSlots`.
  package mutating func slots(ofStep step: Int) throws -> ArraySlice<Int32> {
    if let known = drawn.first(where: { $0.step == step }) { return known.slots[...] }
    if let slots = try batches.drawnSlots(ofStep: step) {
      // The step under way, and the next one that is sent ahead.
      drawn = drawn.suffix(1) + [(step, slots)]
      return slots[...]
    }
    let (epoch, index) = step.quotientAndRemainder(dividingBy: stepsPerEpoch)
    if order.epoch != epoch { order = (epoch, batches.order(epoch: epoch)) }
    return order.slots[batches.range(ofBatch: index)]
  }

  /// The first of them, that it trains on.
  package mutating func trainedSlots(ofStep step: Int) throws -> ArraySlice<Int32> {
    let slots = try slots(ofStep: step)
    if drawn.contains(where: { $0.step == step }) { return slots }
    return slots.prefix(batches.trainedSamples(ofBatch: step % stepsPerEpoch))
  }
}

/// The batches of one round: steps that follow one another in a longer plan, as one epoch of a job of their own.
///
/// A job's batches are equally large. One that the end of a pass over the rows leaves short is filled up with samples of its own, whose
/// gradients are zero, so that they add nothing.
package struct RoundBatches: JobBatches {
  /// Samples a step.
  private let batch: Int
  private let slots: [Int32]
  private let trained: [Int]
  private let passes: [Int]

  /// - Parameters:
  ///   - plan: what the steps are of.
  ///   - steps: their numbers in the plan, all its passes one after the other.
  package init(_ plan: TrainingPlan, steps: Range<Int>) {
    batch = plan.batch
    passes = steps.map { plan.pass(ofStep: $0) }
    var order: (pass: Int, slots: [Int32]) = (-1, [])
    let batches = steps.map { step in
      let pass = plan.pass(ofStep: step)
      if order.pass != pass { order = (pass, plan.order(epoch: pass)) }
      return order.slots[plan.range(ofBatch: step % plan.stepsPerEpoch)]
    }
    trained = batches.map(\.count)
    slots = batches.flatMap { [batch] slots in (0..<batch).map { slots[slots.startIndex + $0 % slots.count] } }
  }

  package var steps: Int { trained.count }

  package func order(epoch: Int) -> [Int32] { slots }

  package func range(ofBatch index: Int) -> Range<Int> { index * batch..<(index + 1) * batch }

  package func trainedSamples(ofBatch index: Int) -> Int { trained[index] }

  package func pass(ofStep step: Int) -> Int { passes[step] }

  /// The slots that step `index` trains on.
  package func trainedSlots(ofStep index: Int) -> ArraySlice<Int32> {
    slots[range(ofBatch: index).prefix(trained[index])]
  }
}

extension PreparedJob {
  /// The job of one round as the trainer gets it.
  ///
  /// Its samples keep the numbers that they have in the plan, so that it says to have at least as many as there are.
  ///
  /// - Throws: `WireError.invalidJob` for numbers out of range.
  func description(of round: RoundBatches) throws -> JobDescription {
    var description = description
    description.epochs = 1
    description.stepsPerEpoch = round.steps
    description.trainingRows = round.steps * description.batch
    description.validationRows = max(0, plan.totalRows - description.trainingRows)
    try description.validate()
    return description
  }

  /// The job that infers the outputs of samples which keep their numbers.
  ///
  /// - Throws: `WireError.invalidJob` for numbers out of range.
  func descriptionOfInference() throws -> JobDescription {
    var description = description
    description.purpose = .inference
    (description.epochs, description.stepsPerEpoch) = (1, 1)
    (description.trainingRows, description.validationRows) = (0, plan.totalRows)
    try description.validate()
    return description
  }
}
