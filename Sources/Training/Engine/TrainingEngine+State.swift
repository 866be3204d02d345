package import Models
package import Numerics

extension TrainingEngine {
  /// - Parameters:
  ///   - optimizer: nil for inference alone.
  ///   - batchRows: the most rows a batch may have.
  ///   - partRows: the most samples of one part of a batch of sequences; nil for the whole batch. Where a sample is one row,
  ///     parts are of any size.
  ///   - sampleClipping: for gradients that are clipped sample by sample; nil for those of the batch's mean.
  ///   - parameters: in the order of `model.structure.parameters`.
  /// - Throws: `TrainingError` for a model, setting or parameter that cannot be used. Memory is the caller's question
  ///   (`memoryEstimate`) before.
  package convenience init(
    model graph: ModelGraph, optimizer: OptimizerDescription?, schedule: ScheduleDescription, totalSteps: Int,
    batchRows: Int, partRows: Int? = nil, sampleClipping: SampleClipping? = nil, compute: Compute,
    parameters: [Tensor<Element>]
  ) throws(TrainingError) {
    try self.init(
      EngineSettings(
        Model(graph), optimizer: optimizer, batchRows: batchRows, partRows: partRows, sampleClipping: sampleClipping),
      schedule: schedule, totalSteps: totalSteps, compute: compute)
    try setParameters(parameters)
  }

  /// As above with parameters that are written one after the other to where they stay, so that there is one copy of them.
  ///
  /// - Parameter loading: writes all elements of parameter number `index`, row-major.
  /// - Throws: also what `loading` throws, and `TrainingError.nonFiniteParameter`.
  package convenience init(
    model graph: ModelGraph, optimizer: OptimizerDescription?, schedule: ScheduleDescription, totalSteps: Int,
    batchRows: Int, partRows: Int? = nil, sampleClipping: SampleClipping? = nil, compute: Compute,
    loading: (_ index: Int, _ elements: UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws {
    try self.init(
      EngineSettings(
        Model(graph), optimizer: optimizer, batchRows: batchRows, partRows: partRows, sampleClipping: sampleClipping),
      schedule: schedule, totalSteps: totalSteps, compute: compute)
    try model.load(into: weights, loading: loading)
    packed.invalidateAll()
  }

  /// Copies of the weights, in the order of `model.structure.parameters`.
  package var parameters: [Tensor<Element>] {
    zip(model.structure.parameters, weights).map { parameter, buffer in buffer.copy(shape: parameter.shape) }
  }

  /// - Throws: `TrainingError.parameterCount`, `.parameterShape`, `.nonFiniteParameter`; nothing is changed then.
  package func setParameters(_ parameters: [Tensor<Element>]) throws(TrainingError) {
    try model.assign(parameters, to: weights)
    packed.invalidateAll()
  }

  /// The elements of parameter number `index` of `model.structure.parameters` where they are, row-major.
  package func withParameter<Result, Failure: Error>(
    _ index: Int, _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeBufferPointer(weights[index].elements))
  }

  // MARK: - The optimizer's memory

  /// Names and shapes of the optimizer's memory, which trained parameters alone have: "momentum.layers.0.weight"; "moment1.…",
  /// then "moment2.…". Empty for sgd without momentum. With the weights and `step` it is all that a resumed run needs.
  package var optimizerStateShapes: [(name: String, shape: [Int])] {
    (optimizer?.state ?? []).map { ($0.name, $0.shape) }
  }

  /// The elements of number `index` of `optimizerStateShapes` where they are, row-major.
  package func withOptimizerState<Result, Failure: Error>(
    _ index: Int, _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard let state = optimizer?.state else { return try body(UnsafeBufferPointer(start: nil, count: 0)) }
    return try body(UnsafeBufferPointer(state[index].buffer.elements))
  }

  /// Lets `loading` write all elements of each tensor of `optimizerStateShapes` in turn, to where they stay.
  ///
  /// - Throws: what `loading` throws; `TrainingError.optimizerState` for NaN or an infinity. The engine is then of no more use.
  package func loadOptimizerState(
    _ loading: (_ index: Int, _ elements: UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws {
    for (index, own) in (optimizer?.state ?? []).enumerated() {
      try loading(index, own.buffer.elements)
      guard own.buffer.isFinite else { throw TrainingError.optimizerState("\(own.name) holds NaN or an infinity") }
    }
  }

  /// Copies of the optimizer's memory.
  package var optimizerState: [(name: String, tensor: Tensor<Element>)] {
    (optimizer?.state ?? []).map { ($0.name, $0.buffer.copy(shape: $0.shape)) }
  }

  /// - Throws: `TrainingError.optimizerState` unless names, order and shapes are those of `optimizerState`, all finite;
  ///   nothing is changed then.
  package func setOptimizerState(_ state: [(name: String, tensor: Tensor<Element>)]) throws(TrainingError) {
    let expected = optimizer?.state ?? []
    guard state.count == expected.count else {
      throw .optimizerState("\(state.count) tensors where the optimizer keeps \(expected.count)")
    }
    for (given, own) in zip(state, expected) {
      guard given.name == own.name else { throw .optimizerState("\(given.name) where \(own.name) is due") }
      guard given.tensor.shape == own.shape else {
        throw .optimizerState("\(own.name) must have shape \(own.shape), not \(given.tensor.shape)")
      }
      guard compute.workers.allFinite(given.tensor) else {
        throw .optimizerState("\(own.name) holds NaN or an infinity")
      }
    }
    for (given, own) in zip(state, expected) { own.buffer.assign(given.tensor) }
  }
}

extension TrainingEngine {
  /// Bytes an engine for this job takes at most: weights, gradients and optimizer memory of the trained ones, weights as products take them,
  /// activations of the parts in flight, what passes share, rotary tables, and the inputs of an inference of as many rows as a part has. Nil when a
  /// setting is invalid or the count overflows.
  ///
  /// Not counted: copies that callers ask for (`parameters`, `optimizerState`, outputs), the memory that products pack activations into, and for
  /// each thread the scores of attention and the 64 rows of a product that per-sample norms of sequences take.
  /// - Parameters: as those of `init`; of `compute` the precision and the library count.
  package static func memoryEstimate(
    _ model: Model, optimizer: OptimizerDescription?, batchRows: Int, partRows: Int? = nil,
    sampleClipping: SampleClipping? = nil, compute: Compute = Compute(threads: 1)
  ) -> Int? {
    let settings = try? EngineSettings(
      model, optimizer: optimizer, batchRows: batchRows, partRows: partRows, sampleClipping: sampleClipping)
    return settings.flatMap { memoryEstimate($0, compute) }
  }

  static func memoryEstimate(_ settings: EngineSettings, _ compute: Compute = Compute(threads: 1)) -> Int? {
    guard let part = settings.largestPart, let pass = settings.largestPass else { return nil }
    let isNarrow = compute.precision == .bfloat16
    let specifications = settings.model.structure.parameters
    let elements = Shape.sum([
      Shape.sum(specifications.map { Shape.elementCount($0.shape) }),
      trainingElements(settings, settings.trained.map { specifications[$0] }),
      Shape.elementCount([settings.rules == nil ? part.samples : part.tokens, settings.model.inputWidth]),
      // Output gradients that are kept aside.
      settings.sampleClipping != nil && settings.rules == nil
        ? Shape.elementCount([part.samples, settings.model.outputWidth]) : 0,
    ])
    return Shape.sum([
      elements.flatMap { Shape.byteCount([$0], Element.elementType) },
      isNarrow
        ? activationBytes(settings, compute, part, pass, Element.Narrow.self)
        : activationBytes(settings, compute, part, pass, Element.self),
      PackedWeights.byteCount(
        settings.model, flow: settings.flow, trains: settings.optimizer != nil, compute, Element.self),
      settings.model.tableBytes,
    ])
  }

  /// Activations of the parts in flight and what passes share; where they are in another format than inputs arrive in, the inputs of a part and of
  /// an inference in both.
  private static func activationBytes<Stored: ActivationElement>(
    _ settings: EngineSettings, _ compute: Compute, _ part: RowCounts, _ pass: RowCounts, _: Stored.Type
  ) -> Int? where Stored.Accumulator == Element {
    let plan = settings.plan(ActivationStorage(compute, Element.self))
    let inputs = Shape.elementCount([settings.rules == nil ? part.samples : part.tokens, settings.model.inputWidth])
    return Shape.sum([
      part.byteCount(plan.partShapes, Stored.self).flatMap { Shape.elementCount([$0, settings.partsInFlight]) },
      pass.byteCount(plan.workingShapes, Stored.self),
      Stored.self == Element.self || settings.model.readsFullInputs
        ? 0
        : inputs.flatMap { Shape.elementCount([$0, Stored.elementType.byteCount + Element.elementType.byteCount]) },
    ])
  }

  /// Elements of the gradients of `trained` and of the optimizer's memory.
  private static func trainingElements(
    _ settings: EngineSettings, _ trained: [ParameterSpecification]
  ) -> Int? {
    guard let optimizer = settings.optimizer else { return 0 }
    return Shape.sum([
      Shape.sum(trained.map { Shape.elementCount($0.shape) }), optimizer.memoryElements(trained),
    ])
  }
}
