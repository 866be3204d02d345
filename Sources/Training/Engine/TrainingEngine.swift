import Models
package import Numerics

/// Trains one model: forward, backward, clipping, update. Knows nothing of keys: masked and plaintext training are the
/// same arithmetic.
///
/// A step is `beginBatch`, then `forward` and `setOutputGradient` for each part of the batch, then `finishStep`, which
/// changes the weights once or, when it throws, not at all. Where a sample is one row, parts may come in any order and the
/// backward pass runs over the whole batch in `finishStep`. Where samples are sequences, parts come in order, each one's
/// backward pass runs in its `setOutputGradient`, and while `hasRoom` another part may go forward before that. Result bits
/// depend on the sizes and parts given and on the processor, never on the number of workers.
///
/// Not thread-safe: one thread at a time owns it.
package final class TrainingEngine<Element: FloatingElement> {
  package let totalSteps: Int
  /// t of the next step, 0 … totalSteps; set to resume a run.
  package var step = 0
  /// The step at which the optimizer remembered nothing: 0, unless its memory is emptied between steps. At most `step`.
  package var optimizerBegan = 0

  let settings: EngineSettings
  let weights: [MatrixBuffer<Element>]
  /// Over the trained parameters alone, in their order; nil in inference.
  let optimizer: (any Optimizer<Element>)?
  let compute: Compute
  /// For optimizers, whose own products are never of rounded operands.
  private let exactCompute: Compute
  /// Places of the trained parameters in `model.structure.parameters`.
  private let trained: [Int]
  /// Of each trained parameter.
  private var gradients: [MatrixBuffer<Element>]
  /// Where the gradients are a share of those of several engines.
  private var sharing: SharedGradients<Element>?
  private let schedule: LearningRateSchedule
  private let passes: any BatchPasses<Element>
  /// The weights as products take them; whoever writes to `weights` says so to it.
  let packed: PackedWeights

  package var model: Model { settings.model }
  /// The most rows a batch may have.
  package var batchCapacity: Int { settings.batchRows }

  /// Weights are zeros until they are loaded.
  init(
    _ settings: EngineSettings, schedule: ScheduleDescription, totalSteps: Int, compute: Compute
  ) throws(TrainingError) {
    guard totalSteps >= 1 else { throw .invalidSetting("a run needs at least 1 step") }
    guard schedule.warmup >= 0, schedule.warmup <= 1 else { throw .invalidSetting("schedule.warmup must be 0 to 1") }
    guard Self.memoryEstimate(settings, compute) != nil, let largestPart = settings.largestPart,
      let largestPass = settings.largestPass
    else { throw .tooLarge }
    let flow = settings.flow
    guard settings.sampleClipping == nil || compute.precision != .bfloat16 else {
      throw .invalidSetting("samples' gradients are not clipped exactly where activations are rounded to bfloat16")
    }
    guard settings.optimizer == nil || !flow.isEmpty else {
      throw .invalidModel("no parameter that its output depends on is trained")
    }
    self.settings = settings
    self.totalSteps = totalSteps
    self.compute = compute
    exactCompute = compute.precision == .full ? compute : Compute(workers: compute.workers)
    self.schedule = LearningRateSchedule(
      schedule, learningRate: settings.optimizer?.learningRate ?? 0, totalSteps: totalSteps)
    let specifications = settings.model.structure.parameters
    weights = settings.model.makeWeights()
    trained = settings.optimizer == nil ? [] : settings.trained
    gradients = trained.map { specifications[$0].makeBuffer() }
    optimizer = settings.optimizer?.makeOptimizer(for: trained.map { specifications[$0] }, Element.self)
    packed = PackedWeights(
      settings.model, flow: flow, trains: settings.optimizer != nil, compute, Element.self)
    passes = Self.passes(settings, weights, packed, largestPart, largestPass, compute)
  }

  private static func passes(
    _ settings: EngineSettings, _ weights: [MatrixBuffer<Element>], _ packed: PackedWeights, _ largestPart: RowCounts,
    _ largestPass: RowCounts, _ compute: Compute
  ) -> any BatchPasses<Element> {
    func passes<Stored: ActivationElement>(_: Stored.Type) -> any BatchPasses<Element>
    where Stored.Accumulator == Element {
      StoredBatchPasses<Stored>(
        settings, weights: weights, packed: packed, largestPart: largestPart, largestPass: largestPass,
        compute: compute)
    }
    return compute.precision == .bfloat16 ? passes(Element.Narrow.self) : passes(Element.self)
  }

  // MARK: - A step

  /// Starts a batch of 1 … `batchCapacity` rows; one in progress is forgotten. None is also a number where engines share a batch, and
  /// where samples are clipped one by one: such a step has noise alone.
  package func beginBatch(rows: Int) throws(TrainingError) {
    guard optimizer != nil else { throw .inferenceOnly }
    guard rows >= (sharing == nil && settings.sampleClipping == nil ? 1 : 0), rows <= batchCapacity else {
      throw .batchRows(rows: rows, capacity: batchCapacity)
    }
    passes.begin(rows: rows)
  }

  /// Whether another part may go forward before a gradient comes.
  package var hasRoom: Bool { passes.hasRoom }

  /// Lets `filling` write the inputs of `rows` (row-major, as wide as `model.inputWidth`, a row a sample or a token) where
  /// the engine keeps them, and runs the model on just them; returns their outputs, `[samples or tokens, outputs]`.
  ///
  /// Where a sample is one row, rows that are asked for again start anew.
  /// - Parameters:
  ///   - rows: samples of the batch.
  ///   - sequences: how their tokens are divided; nil exactly where a sample is one row.
  /// - Throws: what `filling` throws; `TrainingError.rowsOutsideBatch`, `.sequences`, `.partRows`, `.partOrder`,
  ///   `.partsInFlight`.
  package func forward(
    rows: Range<Int>, sequences: SequenceLayout? = nil,
    filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    try passes.forward(rows: rows, sequences: sequences, filling: filling)
  }

  /// ∂L/∂outputs of `rows`, of the outputs' shape, scaled so that the batch's gradients add up to the mean's. Where samples are clipped one
  /// by one, L is each sample's own loss (`LossFunction.evaluateEachSample`).
  ///
  /// Where samples are sequences, `rows` is the part that went forward first of those without gradient, and its backward pass
  /// runs here.
  /// - Throws: `TrainingError.rowsOutsideBatch`, `.gradientBeforeForward`, `.partOrder`, `.gradientShape`,
  ///   `.nonFiniteGradient`.
  package func setOutputGradient(_ gradient: Tensor<Element>, rows: Range<Int>) throws(TrainingError) {
    try passes.setOutputGradient(gradient, rows: rows, targets)
  }

  private var targets: GradientTargets<Element> {
    var all = [MatrixView<Element>?](repeating: nil, count: weights.count)
    for (place, gradient) in zip(trained, gradients) { all[place] = gradient.view }
    return GradientTargets(gradients: all, finished: sharing.map { $0.layerFinished })
  }

  /// What is left of the backward pass, clipping and the update; ends the batch and moves on to the next step.
  ///
  /// Where engines share a batch it waits for all of them, and each makes the same update.
  /// - Parameter correction: what is added to the gradients of the loss, before they are clipped all together; nil for nothing.
  /// - Throws: `TrainingError.incompleteBatch`, `.nonFiniteGradient` (the norm of all gradients is not finite),
  ///   `.finished`, `.notReduced`; weights, optimizer state and step are then as before.
  package func finishStep(
    correction: (any GradientCorrection<Element>)? = nil
  ) throws(TrainingError) -> StepReport {
    guard let optimizer else { throw .inferenceOnly }
    guard step >= 0, step < totalSteps else { throw .finished(totalSteps: totalSteps) }
    let batch = passes.batch
    guard batch.isOpen, batch.missing == 0 else { throw .incompleteBatch(missing: batch.missing) }
    if batch.count == 0, sharing == nil {
      for gradient in gradients { gradient.elements.update(repeating: 0) }
    } else if settings.rules == nil, batch.count > 0 {
      passes.backwardOverRows(targets)
    }
    var squares = passes.squares
    if let sharing {
      if batch.count == 0 { sharing.clear() }
      guard sharing.finish() else {
        passes.forget()
        throw .notReduced
      }
      // Of one replica alone the sum that the backward pass made stands, so that its bits are those of an engine by itself.
      if sharing.replicas > 1 { squares = gradients.reduce(0) { $0 + compute.workers.sumOfSquares($1) } }
    }
    if let correction {
      for (number, place) in trained.enumerated() {
        correction.add(
          number, step: step, weights: UnsafeBufferPointer(weights[place].elements), to: gradients[number].elements)
      }
      squares = gradients.reduce(0) { $0 + compute.workers.sumOfSquares($1) }
    }
    let norm = squares.squareRoot()
    passes.forget()
    guard norm.isFinite else { throw .nonFiniteGradient }
    let clipNorm = settings.optimizer?.clipNorm
    let update = UpdateSettings(
      learningRate: schedule.rate(step: step), clip: clipNorm.map { min(1, $0 / (norm + 1e-6)) } ?? 1,
      step: step - optimizerBegan)
    for (number, place) in trained.enumerated() {
      optimizer.update(
        number, parameter: weights[place], gradient: gradients[number], update, compute: exactCompute)
      packed.invalidate(place)
    }
    step += 1
    return StepReport(step: step - 1, gradientNorm: norm, learningRate: update.learningRate)
  }

  /// Makes this engine one of several that share each batch: each takes some of its parts, and all make the same update from
  /// the sum of their gradients. Their models, optimizers, weights and steps must be the same.
  ///
  /// Called before the first batch.
  package func share(over reduction: any GradientReduction<Element>) {
    let specifications = model.structure.parameters
    let shared = SharedGradients(
      shapes: trained.map { specifications[$0].bufferShape },
      parametersOfLayer: model.parameterRanges.map { range in
        trained.indices.filter { range.contains(trained[$0]) }
      },
      layers: settings.plan(ActivationStorage(compute, Element.self)).backward.passes.compactMap { pass in
        if case .backward(let layer) = pass { return layer }
        return nil
      }, reduction: reduction)
    gradients = shared.gradients
    sharing = shared
  }

  /// How long the sum of all gradients takes when nothing else is done: the least of three, which all engines that share batches
  /// make together before the first one.
  package func measureReduction() -> (bytes: Int, seconds: Double)? {
    sharing?.measure()
  }

  /// Gives up the batch of a step that other engines may have completed their share of: none of them takes the step.
  package func abandonStep() {
    sharing?.abandon()
    passes.forget()
  }

  // MARK: - Inference

  /// Outputs of `rows` samples, `[samples or tokens, outputs]`, with the present weights. A batch in progress is not disturbed.
  ///
  /// `filling` writes the inputs, as in `forward`. Memory beside inputs and outputs is bounded whatever `rows` is: activations
  /// are kept for one block of samples at a time.
  /// - Throws: what `filling` throws; `TrainingError.invalidSetting` unless `rows` is at least 1, `.sequences`, `.tooLarge`.
  package func infer(
    rows: Int, sequences: SequenceLayout? = nil, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    try passes.infer(rows: rows, sequences: sequences, filling: filling)
  }
}
