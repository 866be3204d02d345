import Models
package import Numerics
package import Protocol
package import Training

/// What the steps of one round do beside what all rounds of a job have in common.
package struct RoundTerms<Element: FloatingElement>: Sendable {
  /// μ of a pull μ(θ − θ₀) towards the weights that the round starts from; 0 for none.
  package var proximalStrength = 0.0
  /// Added to every step's gradient, not masked: of the trained parameters in their order. Nil for nothing.
  package var offsets: [Tensor<Element>]?
  /// Nil for batches that go through the rows pass after pass, and gradients that nothing is done to.
  package var privacy: RoundPrivacy?

  package init(
    proximalStrength: Double = 0, offsets: [Tensor<Element>]? = nil, privacy: RoundPrivacy? = nil
  ) {
    self.proximalStrength = proximalStrength
    self.offsets = offsets
    self.privacy = privacy
  }

  /// As the trainer is told it; nil where nothing is added.
  var correction: StepCorrection? {
    guard proximalStrength > 0 || offsets != nil else { return nil }
    return StepCorrection(
      proximalStrength: proximalStrength > 0 ? proximalStrength : nil, hasOffsets: offsets != nil)
  }
}

/// Differentially private steps of a round: how their rows are drawn, and what the trainer is told.
package struct RoundPrivacy: Sendable {
  /// By the numbers of the plan's steps, of which the round has some.
  package let sampling: PoissonSampling
  /// Its noise is this round's alone.
  package let steps: StepPrivacy

  package init(sampling: PoissonSampling, steps: StepPrivacy) {
    self.sampling = sampling
    self.steps = steps
  }
}

/// The batches of one round: steps that follow one another in a longer plan, as one epoch of a job of their own.
///
/// A job's batches are equally large. One that the end of a pass over the rows leaves short is filled up with samples of its own, whose
/// gradients are zero, so that they add nothing. Batches that are drawn are as large as they come.
package struct RoundBatches: JobBatches {
  /// Samples a step.
  private let batch: Int
  private let slots: [Int32]
  private let trained: [Int]
  private let passes: [Int]
  private let firstStep: Int
  private let sampling: PoissonSampling?

  /// - Parameters:
  ///   - plan: what the steps are of.
  ///   - steps: their numbers in the plan, all its passes one after the other.
  ///   - sampling: what draws each step's rows; nil where they are the plan's.
  package init(_ plan: TrainingPlan, steps: Range<Int>, drawnBy sampling: PoissonSampling? = nil) {
    batch = sampling?.capacity ?? plan.batch
    self.sampling = sampling
    firstStep = steps.lowerBound
    passes = steps.map { plan.pass(ofStep: $0) }
    guard sampling == nil else {
      (slots, trained) = ([], [])
      return
    }
    var order: (pass: Int, slots: [Int32]) = (-1, [])
    let batches = steps.map { step in
      let pass = plan.pass(ofStep: step)
      if order.pass != pass { order = (pass, plan.order(epoch: pass)) }
      return order.slots[plan.range(ofBatch: step % plan.stepsPerEpoch)]
    }
    trained = batches.map(\.count)
    slots = batches.flatMap { [batch] slots in (0..<batch).map { slots[slots.startIndex + $0 % slots.count] } }
  }

  package var steps: Int { passes.count }

  package func order(epoch: Int) -> [Int32] { slots }

  package func range(ofBatch index: Int) -> Range<Int> { index * batch..<(index + 1) * batch }

  package func trainedSamples(ofBatch index: Int) -> Int { trained[index] }

  package func drawnSlots(ofStep step: Int) throws -> [Int32]? { try sampling?.batch(step: firstStep + step) }

  package func pass(ofStep step: Int) -> Int { passes[step] }

  /// The slots that step `index` trains on.
  ///
  /// - Throws: as `drawnSlots`.
  package func trainedSlots(ofStep index: Int) throws -> ArraySlice<Int32> {
    if let drawn = try drawnSlots(ofStep: index) { return drawn[...] }
    return slots[range(ofBatch: index).prefix(trained[index])]
  }
}

extension PreparedJob {
  /// The job of one round as the trainer gets it.
  ///
  /// Its samples keep the numbers that they have in the plan, so that it says to have at least as many as there are.
  ///
  /// - Parameter part: which steps of a schedule over all rounds these are; nil for a schedule of the round's own.
  /// - Throws: `WireError.invalidJob` for numbers out of range.
  func description<Element>(
    of round: RoundBatches, _ terms: RoundTerms<Element>, schedule part: SchedulePart?
  ) throws -> JobDescription {
    var description = description
    description.epochs = 1
    description.stepsPerEpoch = round.steps
    if let privacy = terms.privacy {
      description.privacy = privacy.steps
      description.batch = privacy.sampling.capacity
    }
    description.correction = terms.correction
    if !description.schedule.isConstant { description.schedule = description.schedule.continued(part) }
    description.trainingRows = round.steps * description.expectedBatch
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
