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
