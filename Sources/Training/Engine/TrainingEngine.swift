package import Architecture
package import Tensors

/// Trains one model: forward, backward, clipping, update. Knows nothing of keys: masked and plaintext training are the
/// same arithmetic.
///
/// A step is `beginBatch`, then for parts of the batch in any order `forward` and `setOutputGradient`, then `finishStep`,
/// which changes the weights once or, when it throws, not at all. Result bits depend on the sizes and row ranges given
/// and on the processor, never on the number of workers.
///
/// Not thread-safe: one thread at a time owns it.
package final class TrainingEngine<Element: FloatingElement> {
  package let model: Model
  package let totalSteps: Int
  /// The most rows a batch may have.
  package let batchCapacity: Int
  /// t of the next step, 0 … totalSteps; set to resume a run.
  package var step = 0

  private let workers: Workers
  private let schedule: LearningRateSchedule
  private let clipNorm: Double?
  private let optimizer: any Optimizer<Element>
  private let weights: [MatrixBuffer<Element>]
  private let weightViews: [MatrixView<Element>]
  private let activations: ActivationBuffers<Element>
  private let gradients: GradientBuffers<Element>
  private var batch = BatchRows()
  private var inference: Inference<Element>?

  /// - Parameters:
  ///   - batchRows: the most rows a batch may have; memory is set aside for them.
  ///   - parameters: in the order of `model.structure.parameters`.
  /// - Throws: `TrainingError` for a model, setting or parameter that cannot be used. Memory is the caller's question
  ///   (`memoryEstimate`) before.
  package init(
    model description: ModelDescription, optimizer: OptimizerDescription, schedule: ScheduleDescription,
    totalSteps: Int, batchRows: Int, workers: Workers, parameters: [Tensor<Element>]
  ) throws(TrainingError) {
    guard totalSteps >= 1 else { throw .invalidSetting("a run needs at least 1 step") }
    guard batchRows >= 1 else { throw .invalidSetting("a batch needs at least 1 row") }
    guard schedule.warmup >= 0, schedule.warmup <= 1 else { throw .invalidSetting("schedule.warmup must be 0 to 1") }
    try optimizer.validate()
    guard Self.memoryEstimate(model: description, optimizer: optimizer, batchRows: batchRows) != nil else {
      throw .tooLarge
    }
    model = try Model(description)
    try model.check(parameters)
    self.totalSteps = totalSteps
    batchCapacity = batchRows
    self.workers = workers
    self.schedule = LearningRateSchedule(
      schedule, learningRate: optimizer.learningRate, totalSteps: totalSteps)
    clipNorm = optimizer.clipNorm
    self.optimizer = optimizer.makeOptimizer(for: model.structure.parameters, Element.self)
    activations = ActivationBuffers(model, rows: batchRows, forTraining: true)
    gradients = GradientBuffers(model, rows: batchRows)
    weights = model.structure.parameters.map { parameter in
      let (rows, columns) = parameter.bufferShape
      return MatrixBuffer(rows: rows, columns: columns)
    }
    weightViews = weights.map(\.view)
    for (buffer, tensor) in zip(weights, parameters) { buffer.assign(tensor) }
  }

  // MARK: - Weights and state

  /// Copies of the weights, in the order of `model.structure.parameters`.
  package var parameters: [Tensor<Element>] {
    zip(model.structure.parameters, weights).map { parameter, buffer in buffer.copy(shape: parameter.shape) }
  }

  /// - Throws: `TrainingError.parameterCount`, `.parameterShape`, `.nonFiniteParameter`; nothing is changed then.
  package func setParameters(_ parameters: [Tensor<Element>]) throws(TrainingError) {
    try model.check(parameters)
    for (buffer, tensor) in zip(weights, parameters) { buffer.assign(tensor) }
  }

  /// Copies of the optimizer's memory: "momentum.layers.0.weight"; "moment1.…", then "moment2.…". Empty for sgd without
  /// momentum. With the weights and `step` it is all that a resumed run needs.
  package var optimizerState: [(name: String, tensor: Tensor<Element>)] {
    optimizer.state.map { ($0.name, $0.buffer.copy(shape: $0.shape)) }
  }

  /// - Throws: `TrainingError.optimizerState` unless names, order and shapes are those of `optimizerState`, all finite;
  ///   nothing is changed then.
  package func setOptimizerState(_ state: [(name: String, tensor: Tensor<Element>)]) throws(TrainingError) {
    let expected = optimizer.state
    guard state.count == expected.count else {
      throw .optimizerState("\(state.count) tensors where the optimizer keeps \(expected.count)")
    }
    for (given, own) in zip(state, expected) {
      guard given.name == own.name else { throw .optimizerState("\(given.name) where \(own.name) is due") }
      guard given.tensor.shape == own.shape else {
        throw .optimizerState("\(own.name) must have shape \(own.shape), not \(given.tensor.shape)")
      }
      guard workers.allFinite(given.tensor) else { throw .optimizerState("\(own.name) holds NaN or an infinity") }
    }
    for (given, own) in zip(state, expected) { own.buffer.assign(given.tensor) }
  }

  // MARK: - A step

  /// Starts a batch of 1 … `batchCapacity` rows; one in progress is forgotten.
  package func beginBatch(rows: Int) throws(TrainingError) {
    guard rows >= 1, rows <= batchCapacity else { throw .batchRows(rows: rows, capacity: batchCapacity) }
    batch.begin(rows)
  }

  /// Lets `filling` write the inputs of `rows` (row-major, `rows.count` × `model.inputWidth`) where the engine keeps them,
  /// and runs the model on just them; returns their outputs, `[rows.count, outputs]`.
  ///
  /// Asked again for the same rows it starts them anew. Throws what `filling` throws, and
  /// `TrainingError.rowsOutsideBatch`.
  package func forward(
    rows: Range<Int>, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    try batch.check(rows)
    batch.reset(rows)
    let input = activations.value(0, rows: rows)
    try filling(UnsafeMutableBufferPointer(start: input.base, count: input.count))
    let output = activations.forward(rows: rows, parameters: weightViews, workers: workers)
    batch.setForwarded(rows)
    return Tensor(copying: output)
  }

  /// ∂L/∂outputs of `rows`, of shape `[rows.count, outputs]`, scaled so that the batch's gradients add up to the mean's.
  ///
  /// - Throws: `TrainingError.rowsOutsideBatch`, `.gradientBeforeForward`, `.gradientShape`, `.nonFiniteGradient`.
  package func setOutputGradient(_ gradient: Tensor<Element>, rows: Range<Int>) throws(TrainingError) {
    try batch.check(rows)
    guard batch.haveOutputs(rows) else { throw .gradientBeforeForward(rows: rows) }
    let expected = [rows.count, model.outputWidth]
    guard gradient.shape == expected else { throw .gradientShape(expected: expected, found: gradient.shape) }
    guard workers.allFinite(gradient) else { throw .nonFiniteGradient }
    guard let target = gradients.output(rows: rows) else { return }
    gradient.withUnsafeBufferPointer { source in
      guard let from = source.baseAddress else { return }
      target.base.update(from: from, count: target.count)
    }
    batch.setGradient(rows)
  }

  /// Computes loss and output gradients of the whole batch here: for jobs whose labels came to the trainer.
  ///
  /// Every row must have its outputs; `targets.rows` is the batch's. Returns the mean loss (0 where nothing is observed).
  /// - Throws: as `LossFunction.evaluate`, and `TrainingError.gradientBeforeForward`, `.targetsShape`.
  package func applyLoss(_ loss: LossFunction, targets: Targets<Element>) throws(TrainingError) -> Double {
    let rows = 0..<batch.count
    try batch.check(rows)
    guard batch.haveOutputs(rows) else { throw .gradientBeforeForward(rows: rows) }
    guard targets.rows == rows.count else {
      throw .targetsShape("\(targets.rows) rows of targets for a batch of \(rows.count)")
    }
    guard let gradient = gradients.output(rows: rows) else { return 0 }
    let normalizer = Double(targets.observedCount)
    let outputs = activations.value(model.outputValue, rows: rows)
    let sum = try loss.evaluate(
      outputs: outputs.base, rows: outputs.rows, columns: outputs.columns, targets: targets, normalizer: normalizer,
      gradient: gradient.base)
    guard Element.allFinite(gradient.count, gradient.base) else { throw .nonFiniteGradient }
    batch.setGradient(rows)
    return normalizer > 0 ? sum / normalizer : 0
  }

  /// The backward pass over the whole batch, clipping and the update; ends the batch and moves on to the next step.
  ///
  /// - Throws: `TrainingError.incompleteBatch`, `.nonFiniteGradient` (the norm of all gradients is not finite),
  ///   `.finished`; weights, optimizer state and step are then as before.
  package func finishStep() throws(TrainingError) -> StepReport {
    guard step >= 0, step < totalSteps else { throw .finished(totalSteps: totalSteps) }
    guard batch.count > 0, batch.missing == 0 else { throw .incompleteBatch(missing: batch.missing) }
    let squares = gradients.backward(
      rows: batch.count, activations: activations, weights: weightViews, workers: workers)
    batch.begin(0)
    let norm = squares.squareRoot()
    guard norm.isFinite else { throw .nonFiniteGradient }
    let settings = UpdateSettings(
      learningRate: schedule.rate(step: step), clip: clipNorm.map { min(1, $0 / (norm + 1e-6)) } ?? 1, step: step)
    for (index, (weight, gradient)) in zip(weights, gradients.parameters).enumerated() {
      optimizer.update(index, parameter: weight, gradient: gradient, settings, workers: workers)
    }
    step += 1
    return StepReport(step: settings.step, gradientNorm: norm, learningRate: settings.learningRate)
  }

  // MARK: - Inference

  /// Outputs of `rows` rows, `[rows, outputs]`, with the present weights. A batch in progress is not disturbed.
  ///
  /// `filling` writes the inputs, rows × `model.inputWidth`. Memory beside inputs and outputs is bounded whatever `rows`
  /// is: activations are kept for one block of rows at a time.
  /// - Throws: what `filling` throws; `TrainingError.invalidSetting` unless `rows` is at least 1, `.tooLarge`.
  package func infer(
    rows: Int, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    let pass = inference ?? Inference(model)
    inference = pass
    return try pass.run(rows: rows, parameters: weightViews, workers: workers, filling: filling)
  }
}
