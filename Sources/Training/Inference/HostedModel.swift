package import Models
package import Numerics

/// A model's weights and what forward passes need: no optimizer, no gradients, no memory of batches. It answers whole samples (`infer`), and as a
/// decoder goes on from the tokens that its sessions have (`extend`).
///
/// Knows nothing of keys: it computes with whatever weights it is given. Result bits depend on the sizes and parts given and on the processor, never
/// on the number of workers.
///
/// Not thread-safe: one thread at a time owns it, with the caches that it extends.
package final class HostedModel<Element: FloatingElement> {
  package let model: Model
  let weights: [MatrixBuffer<Element>]
  /// Or why it cannot generate.
  let generation: Result<GenerationPlan, TrainingError>
  let passes: any HostedPasses<Element>

  /// With weights that are written one after the other to where they stay, so that there is one copy of them. Memory is the caller's question
  /// (`memoryEstimate`) before.
  ///
  /// - Parameter loading: writes all elements of parameter number `index` of `Model.structure.parameters`, row-major.
  /// - Throws: what `loading` throws; `TrainingError.nonFiniteParameter`, `.tooLarge`.
  package convenience init(
    _ graph: ModelGraph, compute: Compute,
    loading: (_ index: Int, _ elements: UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws {
    try self.init(graph, compute: compute)
    try model.load(into: weights, loading: loading)
    passes.weightsChanged()
  }

  /// - Parameter parameters: in the order of `Model.structure.parameters`.
  /// - Throws: `TrainingError.parameterCount`, `.parameterShape`, `.nonFiniteParameter`, `.tooLarge`.
  package convenience init(
    _ graph: ModelGraph, compute: Compute, parameters: [Tensor<Element>]
  ) throws(TrainingError) {
    try self.init(graph, compute: compute)
    try model.assign(parameters, to: weights)
    passes.weightsChanged()
  }

  private init(_ graph: ModelGraph, compute: Compute) throws(TrainingError) {
    guard Self.memoryEstimate(graph, compute: compute) != nil else { throw .tooLarge }
    let model = Model(graph)
    let plan = MemoryPlan(
      model, flow: GradientFlow(model), trains: false, keepsOutputGradient: false,
      ActivationStorage(compute, Element.self))
    let weights: [MatrixBuffer<Element>] = model.makeWeights()
    (self.model, self.weights) = (model, weights)
    do throws(TrainingError) {
      generation = .success(try GenerationPlan(graph, model, plan.inference))
    } catch {
      generation = .failure(error)
    }
    passes =
      compute.precision == .bfloat16
      ? StoredHostedPasses<Element.Narrow>(model, plan, weights, compute)
      : StoredHostedPasses<Element>(model, plan, weights, compute)
  }

  /// Bytes it takes at most: weights, also as products take them, the working memory of the largest block, inputs, rotary tables. Nil when the
  /// count overflows.
  ///
  /// Not counted: results, generation caches, the memory that products pack activations into, the scores of attention that each thread works on, and
  /// the inner results of low-rank additions.
  /// - Parameters:
  ///   - inputRows: samples or tokens of the largest `infer`.
  ///   - longestSample: tokens of the longest sample that `infer` will be given; nil for the longest that the graph allows. A model that only
  ///     generates needs 1.
  ///   - compute: as for `init`; its precision and library count.
  package static func memoryEstimate(
    _ graph: ModelGraph, inputRows: Int = 0, longestSample: Int? = nil, compute: Compute = Compute(threads: 1)
  ) -> Int? {
    let model = Model(graph)
    let plan = MemoryPlan(
      model, flow: GradientFlow(model), trains: false, keepsOutputGradient: false,
      ActivationStorage(compute, Element.self))
    let rules = model.rules.map {
      SequenceRules(
        maximumTokens: min($0.maximumTokens, longestSample ?? $0.maximumTokens),
        needsPooledTokens: $0.needsPooledTokens)
    }
    let isDecoder = (try? CacheLayout(graph)) != nil
    let block = Inference<Element>.largestBlock(rules)
    let isNarrow = compute.precision == .bfloat16
    let inputs = Shape.sum([inputRows, isDecoder ? Inference<Element>.blockTokens : 0]).flatMap {
      Shape.elementCount([$0, model.inputWidth])
    }
    return Shape.sum([
      Shape.sum(model.structure.parameters.map { Shape.byteCount($0.shape, Element.elementType) }),
      isNarrow
        ? block.byteCount(plan.workingShapes, Element.Narrow.self) : block.byteCount(plan.workingShapes, Element.self),
      inputs.flatMap { Shape.byteCount([$0], Element.elementType) },
      // Before and after they are rounded.
      isNarrow && !model.readsFullInputs ? inputs.flatMap { Shape.byteCount([$0], Element.Narrow.elementType) } : 0,
      PackedWeights.byteCount(model, flow: GradientFlow(model), trains: false, compute, Element.self),
      model.tableBytes,
    ])
  }

  /// Outputs of `rows` samples, `[samples or tokens, outputs]`.
  ///
  /// Memory beside inputs and outputs is bounded whatever `rows` is: activations are kept for one block of samples at a time.
  /// - Parameters:
  ///   - sequences: how their tokens are divided; nil exactly where a sample is one row.
  ///   - filling: writes the inputs, row-major, as wide as `model.inputWidth`, a row a sample or a token.
  /// - Throws: what `filling` throws; `TrainingError.invalidSetting` unless `rows` is at least 1, `.sequences`, `.tooLarge`.
  package func infer(
    rows: Int, sequences: SequenceLayout? = nil, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    try passes.infer(rows: rows, sequences: sequences, filling: filling)
  }
}
