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
  /// Places of the trained parameters in `model.structure.parameters`.
  private let trained: [Int]
  /// Of each trained parameter.
  private var gradients: [MatrixBuffer<Element>]
  /// Where the gradients are a share of those of several engines.
  private var sharing: SharedGradients<Element>?
  private let schedule: LearningRateSchedule
  private let plan: MemoryPlan
  private let runner: LayerRunner<Element>
  private let largestPart: RowCounts
  private let largestPass: RowCounts
  private var inference: Inference<Element>

  private var batch = BatchRows()
  /// Memory for parts, and which of it is in use, in the order of the batch.
  private var freeMemory: [MatrixMemory<Element>]
  private var inFlight: [BatchPart<Element>] = []
  /// Where the next part of a batch of sequences begins, and whether one has had its backward pass.
  private var nextRow = 0
  private var hasGradients = false
  private var squares = 0.0

  package var model: Model { settings.model }
  /// The most rows a batch may have.
  package var batchCapacity: Int { settings.batchRows }

  /// Weights are zeros until they are loaded.
  init(
    _ settings: EngineSettings, schedule: ScheduleDescription, totalSteps: Int, compute: Compute
  ) throws(TrainingError) {
    guard totalSteps >= 1 else { throw .invalidSetting("a run needs at least 1 step") }
    guard schedule.warmup >= 0, schedule.warmup <= 1 else { throw .invalidSetting("schedule.warmup must be 0 to 1") }
    guard Self.memoryEstimate(settings) != nil, let largestPart = settings.largestPart,
      let largestPass = settings.largestPass
    else { throw .tooLarge }
    let flow = settings.flow
    guard settings.optimizer == nil || !flow.isEmpty else {
      throw .invalidModel("no parameter that its output depends on is trained")
    }
    self.settings = settings
    self.totalSteps = totalSteps
    self.compute = compute
    (self.largestPart, self.largestPass) = (largestPart, largestPass)
    self.schedule = LearningRateSchedule(
      schedule, learningRate: settings.optimizer?.learningRate ?? 0, totalSteps: totalSteps)
    let specifications = settings.model.structure.parameters
    weights = settings.model.makeWeights()
    trained = settings.optimizer == nil ? [] : settings.trained
    gradients = trained.map { specifications[$0].makeBuffer() }
    optimizer = settings.optimizer?.makeOptimizer(for: trained.map { specifications[$0] }, Element.self)
    plan = settings.plan
    runner = LayerRunner(
      settings.model, flow: flow, weights: weights.map(\.view), working: MatrixMemory(plan.workingShapes),
      compute: compute)
    inference = Inference(settings.model, plan.inference)
    let shapes = plan.partShapes
    freeMemory = settings.optimizer == nil ? [] : (0..<settings.partsInFlight).map { _ in MatrixMemory(shapes) }
    // A whole batch's memory is there from the start; that of sequences grows to what arrives.
    if settings.rules == nil, settings.optimizer != nil {
      freeMemory.forEach { $0.reserve(largestPart, limit: largestPart) }
      runner.working.reserve(largestPart, limit: largestPass)
    }
  }

  // MARK: - A step

  /// Starts a batch of 1 … `batchCapacity` rows; one in progress is forgotten. None is also a number where engines share a batch, and
  /// where samples are clipped one by one: such a step has noise alone.
  package func beginBatch(rows: Int) throws(TrainingError) {
    guard optimizer != nil else { throw .inferenceOnly }
    guard rows >= (sharing == nil && settings.sampleClipping == nil ? 1 : 0), rows <= batchCapacity else {
      throw .batchRows(rows: rows, capacity: batchCapacity)
    }
    forgetBatch()
    batch.begin(rows)
  }

  /// Whether another part may go forward before a gradient comes.
  package var hasRoom: Bool {
    settings.rules == nil || !freeMemory.isEmpty
  }

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
    try batch.check(rows)
    try model.check(sequences, samples: rows.count)
    guard let sequences else {
      guard let memory = freeMemory.first else { throw TrainingError.inferenceOnly }
      batch.reset(rows)
      let pass = LayerRunner<Element>.Pass(span: RowSpan(samples: rows), sequences: nil, part: memory)
      let outputs = try forward(pass, filling)
      batch.setForwarded(rows)
      return outputs
    }
    guard rows.count <= settings.partRows else {
      throw TrainingError.partRows(rows: rows.count, capacity: settings.partRows)
    }
    guard rows.lowerBound == nextRow else { throw TrainingError.partOrder(rows: rows, due: nextRow) }
    guard let memory = freeMemory.last else { throw TrainingError.partsInFlight(limit: settings.partsInFlight) }
    let part = BatchPart(rows: rows, sequences: sequences, memory: memory)
    let size = RowCounts(RowSpan(sequences))
    memory.reserve(size, limit: largestPart)
    runner.working.reserve(size, limit: largestPass)
    let outputs = try forward(part.pass, filling)
    freeMemory.removeLast()
    inFlight.append(part)
    nextRow = rows.upperBound
    batch.setForwarded(rows)
    return outputs
  }

  private func forward(
    _ pass: LayerRunner<Element>.Pass, _ filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    guard let input = runner.view(.value(0), plan.forward, pass) else { throw TrainingError.inferenceOnly }
    try filling(UnsafeMutableBufferPointer(start: input.base, count: input.count))
    runner.run(plan.forward, pass)
    guard let output = runner.view(.value(model.outputValue), plan.forward, pass) else {
      throw TrainingError.inferenceOnly
    }
    return Tensor(copying: output)
  }

  /// ∂L/∂outputs of `rows`, of the outputs' shape, scaled so that the batch's gradients add up to the mean's. Where samples are clipped one
  /// by one, L is each sample's own loss (`LossFunction.evaluateEachSample`).
  ///
  /// Where samples are sequences, `rows` is the part that went forward first of those without gradient, and its backward pass
  /// runs here.
  /// - Throws: `TrainingError.rowsOutsideBatch`, `.gradientBeforeForward`, `.partOrder`, `.gradientShape`,
  ///   `.nonFiniteGradient`.
  package func setOutputGradient(_ gradient: Tensor<Element>, rows: Range<Int>) throws(TrainingError) {
    try batch.check(rows)
    guard batch.haveOutputs(rows) else { throw .gradientBeforeForward(rows: rows) }
    guard settings.rules != nil else {
      guard let memory = freeMemory.first else { throw .inferenceOnly }
      try place(
        gradient, LayerRunner<Element>.Pass(span: RowSpan(samples: rows), sequences: nil, part: memory))
      batch.setGradient(rows)
      return
    }
    guard let part = inFlight.first, part.rows == rows else {
      throw .partOrder(rows: rows, due: inFlight.first?.rows.lowerBound ?? nextRow)
    }
    try place(gradient, part.pass)
    clipSamples(gradient, part.pass)
    backward(part.pass, isLast: rows.upperBound == batch.count)
    inFlight.removeFirst()
    freeMemory.append(part.memory)
    batch.setGradient(rows)
  }

  private func place(_ gradient: Tensor<Element>, _ pass: LayerRunner<Element>.Pass) throws(TrainingError) {
    guard let target = runner.view(.gradient(model.outputValue), plan.backward, pass) else { throw .inferenceOnly }
    let expected = [target.rows, target.columns]
    guard gradient.shape == expected else { throw .gradientShape(expected: expected, found: gradient.shape) }
    guard compute.workers.allFinite(gradient) else { throw .nonFiniteGradient }
    gradient.withUnsafeBufferPointer { source in
      guard let from = source.baseAddress else { return }
      target.base.update(from: from, count: target.count)
    }
  }

  /// Scales each sample's output gradient so that the gradients of all parameters that come of it are clipped and add up to those of the step.
  ///
  /// - Parameter gradient: what is in the pass's memory already, which the backward pass for the norms overwrites.
  private func clipSamples(
    _ gradient: Tensor<Element>, _ pass: LayerRunner<Element>.Pass
  ) {
    guard let clipping = settings.sampleClipping,
      let target = runner.view(.gradient(model.outputValue), plan.backward, pass)
    else { return }
    let samples = runner.samples(of: model.outputValue, pass)
    let norms = PartialSums(count: samples.count)
    runner.run(plan.backward, pass, gradients: Array(repeating: nil, count: weights.count), norms: norms)
    let factors = clipping.factors(norms, count: samples.count)
    gradient.withUnsafeBufferPointer { source in
      guard let from = source.baseAddress else { return }
      target.base.update(from: from, count: target.count)
    }
    samples.scale(target, by: factors, compute.workers)
  }

  /// The backward pass over a batch whose samples are rows.
  private func backwardOverRows() {
    let pass = LayerRunner<Element>.Pass(
      span: RowSpan(samples: 0..<batch.count), sequences: nil, part: freeMemory.first)
    if settings.sampleClipping != nil, let gradient = runner.view(.gradient(model.outputValue), plan.backward, pass) {
      clipSamples(Tensor(copying: gradient), pass)
    }
    backward(pass, isLast: true)
  }

  private func backward(_ pass: LayerRunner<Element>.Pass, isLast: Bool) {
    var all = [ParameterGradient<Element>?](repeating: nil, count: weights.count)
    for (place, gradient) in zip(trained, gradients) {
      all[place] = ParameterGradient(view: gradient.view, accumulates: hasGradients)
    }
    let sharing = isLast ? sharing : nil
    squares = runner.run(plan.backward, pass, gradients: all, finished: sharing.map { $0.layerFinished })
    hasGradients = true
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
    guard batch.isOpen, batch.missing == 0 else { throw .incompleteBatch(missing: batch.missing) }
    if batch.count == 0, sharing == nil {
      for gradient in gradients { gradient.elements.update(repeating: 0) }
    } else if settings.rules == nil, batch.count > 0 {
      backwardOverRows()
    }
    if let sharing {
      if batch.count == 0 { sharing.clear() }
      guard sharing.finish() else {
        forgetBatch()
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
    forgetBatch()
    guard norm.isFinite else { throw .nonFiniteGradient }
    let clipNorm = settings.optimizer?.clipNorm
    let update = UpdateSettings(
      learningRate: schedule.rate(step: step), clip: clipNorm.map { min(1, $0 / (norm + 1e-6)) } ?? 1,
      step: step - optimizerBegan)
    for (number, place) in trained.enumerated() {
      optimizer.update(
        number, parameter: weights[place], gradient: gradients[number], update, compute: compute)
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
      layers: plan.backward.passes.compactMap { pass in
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
    forgetBatch()
  }

  private func forgetBatch() {
    freeMemory += inFlight.map(\.memory)
    inFlight = []
    nextRow = 0
    hasGradients = false
    squares = 0
    batch.close()
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
    try inference.run(rows: rows, sequences: sequences, on: runner, memoryLimit: largestPass, filling: filling)
  }
}

extension BatchPart {
  fileprivate var pass: LayerRunner<Element>.Pass {
    LayerRunner.Pass(span: RowSpan(sequences), sequences: sequences, part: memory)
  }
}
