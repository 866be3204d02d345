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
  let runner: LayerRunner<Element>
  /// Or why it cannot generate.
  let generation: Result<GenerationPlan, TrainingError>
  private let largestPass: RowCounts
  private var inference: Inference<Element>
  /// The inputs of a block of new tokens; kept between calls.
  var newTokens: MatrixBuffer<Element>

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
  }

  /// - Parameter parameters: in the order of `Model.structure.parameters`.
  /// - Throws: `TrainingError.parameterCount`, `.parameterShape`, `.nonFiniteParameter`, `.tooLarge`.
  package convenience init(
    _ graph: ModelGraph, compute: Compute, parameters: [Tensor<Element>]
  ) throws(TrainingError) {
    try self.init(graph, compute: compute)
    try model.assign(parameters, to: weights)
  }

  private init(_ graph: ModelGraph, compute: Compute) throws(TrainingError) {
    guard Self.memoryEstimate(graph) != nil else { throw .tooLarge }
    model = Model(graph)
    let plan = MemoryPlan(model, flow: GradientFlow(model), trains: false, keepsOutputGradient: false)
    weights = model.makeWeights()
    runner = LayerRunner(
      model, flow: GradientFlow(model), weights: weights.map(\.view), working: MatrixMemory(plan.workingShapes),
      compute: compute)
    inference = Inference(model, plan.inference)
    largestPass = Inference<Element>.largestBlock(model.rules)
    newTokens = MatrixBuffer(rows: 0, columns: model.inputWidth)
    do throws(TrainingError) {
      generation = .success(try GenerationPlan(graph, model, plan.inference))
    } catch {
      generation = .failure(error)
    }
  }

  /// Bytes it takes at most: weights, the working memory of the largest block, inputs, rotary tables. Nil when the count overflows.
  ///
  /// Not counted: results, generation caches, OpenBLAS's packing buffers, the scores of attention that each thread works on, and the inner results
  /// of low-rank additions.
  /// - Parameters:
  ///   - inputRows: samples or tokens of the largest `infer`.
  ///   - longestSample: tokens of the longest sample that `infer` will be given; nil for the longest that the graph allows. A model that only
  ///     generates needs 1.
  package static func memoryEstimate(
    _ graph: ModelGraph, inputRows: Int = 0, longestSample: Int? = nil
  ) -> Int? {
    let model = Model(graph)
    let plan = MemoryPlan(model, flow: GradientFlow(model), trains: false, keepsOutputGradient: false)
    let rules = model.rules.map {
      SequenceRules(
        maximumTokens: min($0.maximumTokens, longestSample ?? $0.maximumTokens),
        needsPooledTokens: $0.needsPooledTokens)
    }
    let isDecoder = (try? CacheLayout(graph)) != nil
    let elements = Shape.sum([
      Shape.sum(model.structure.parameters.map { Shape.elementCount($0.shape) }),
      Inference<Element>.largestBlock(rules).elementCount(plan.workingShapes),
      Shape.sum([inputRows, isDecoder ? Inference<Element>.blockTokens : 0]).flatMap {
        Shape.elementCount([$0, model.inputWidth])
      },
    ])
    return Shape.sum([elements.flatMap { Shape.byteCount([$0], Element.elementType) }, model.tableBytes])
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
    try inference.run(rows: rows, sequences: sequences, on: runner, memoryLimit: largestPass, filling: filling)
  }
}
