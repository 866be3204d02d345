import Models
import Numerics

/// The forward passes of a hosted model, on memory of whatever activations are kept in: what is written and read is in the format of arithmetic.
///
/// One thread at a time owns it.
protocol HostedPasses<Element>: AnyObject {
  associatedtype Element: FloatingElement

  func weightsChanged()

  /// As `HostedModel.infer`.
  func infer(
    rows: Int, sequences: SequenceLayout?, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element>

  /// As `HostedModel.makeCache`.
  func makeCache(_ layout: CacheLayout, capacity: Int) throws(TrainingError) -> GenerationCache<Element>

  /// Whether the session's keys and values are in the format that this model's are.
  func canExtend(_ cache: GenerationCache<Element>) -> Bool

  /// As `HostedModel.extend`, of parts that have been checked.
  func extend(
    _ parts: [(cache: GenerationCache<Element>, rows: Tensor<Element>)], _ plan: GenerationPlan
  ) -> Tensor<Element>
}

/// Passes whose activations are kept in `Stored`.
final class StoredHostedPasses<Stored: ActivationElement>: HostedPasses {
  typealias Element = Stored.Accumulator

  private let model: Model
  private let runner: LayerRunner<Stored>
  private let packed: PackedWeights
  private var inference: Inference<Stored>
  private let largestPass: RowCounts
  /// The inputs of a block of new tokens; kept between calls.
  private var newTokens: InputRows<Stored>

  init(_ model: Model, _ plan: MemoryPlan, _ weights: [MatrixBuffer<Element>], _ compute: Compute) {
    self.model = model
    let flow = GradientFlow(model)
    packed = PackedWeights(model, flow: flow, trains: false, compute, Element.self)
    runner = LayerRunner(
      model, flow: flow, weights: weights.map(\.view), packed: packed, working: MatrixMemory(plan.workingShapes),
      compute: compute)
    inference = Inference(model, plan.inference)
    largestPass = Inference<Stored>.largestBlock(model.rules)
    newTokens = InputRows(model)
  }

  func weightsChanged() {
    packed.invalidateAll()
  }

  func infer(
    rows: Int, sequences: SequenceLayout?, filling: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws -> Tensor<Element> {
    try inference.run(rows: rows, sequences: sequences, on: runner, memoryLimit: largestPass, filling: filling)
  }

  func makeCache(_ layout: CacheLayout, capacity: Int) throws(TrainingError) -> GenerationCache<Element> {
    try GenerationCache(layout, capacity: capacity, Stored.self)
  }

  func canExtend(_ cache: GenerationCache<Element>) -> Bool { cache.chunks is StoredChunks<Stored> }

  func extend(
    _ parts: [(cache: GenerationCache<Element>, rows: Tensor<Element>)], _ plan: GenerationPlan
  ) -> Tensor<Element> {
    var result = Tensor<Element>(uninitialized: [parts.count, model.outputWidth])
    // The parts end in their order, each in one block.
    result.withUnsafeMutableBufferPointer { elements in
      guard var next = elements.baseAddress else { return }
      for block in GenerationBlock.cut(parts.map(\.rows.rows), size: Inference<Stored>.blockTokens) {
        guard let outputs = run(block, parts, plan) else { continue }
        outputs.widen(into: MatrixView(next, rows: outputs.rows, columns: outputs.columns))
        next += outputs.count
      }
    }
    return result
  }

  /// Runs one block of tokens and leaves their keys and values in the caches.
  ///
  /// - Returns: the outputs of the parts that end in it, in the working memory; nil where none does.
  private func run(
    _ block: GenerationBlock, _ parts: [(cache: GenerationCache<Element>, rows: Tensor<Element>)],
    _ plan: GenerationPlan
  ) -> StoredMatrix<Element>? {
    let layout = block.layout
    let caches = block.slices.map { parts[$0.part].cache }
    let chunks = caches.compactMap { $0.chunks as? StoredChunks<Stored> }
    let starts = caches.map(\.count)
    for (slice, cache) in zip(block.slices, caches) { cache.reserve(slice.rows.count) }
    let input = gather(block, parts)
    let size = Inference<Stored>.blockTokens
    runner.working.reserve(RowCounts(RowSpan(layout)), limit: RowCounts(samples: size, tokens: size))
    let pass = LayerRunner<Stored>.Pass(
      span: RowSpan(layout), sequences: layout, part: nil, input: input,
      sessions: ContinuedSessions(starts: starts, chunks: chunks, layout: plan.layout))
    runner.run(plan.allTokens, pass)
    for (slice, cache) in zip(block.slices, caches) { cache.commit(slice.rows.count) }

    let ended = block.slices.indices.filter { block.slices[$0].isLast }
    if ended.isEmpty { return nil }
    // The last tokens' rows move to the front, each from where none has been moved to yet.
    for value in plan.carried {
      guard let view = runner.view(.value(value), plan.allTokens, pass) else { continue }
      for (target, slice) in ended.enumerated() {
        let source = layout.offsets[slice + 1] - 1
        if source != target { view.copyRow(source, of: view, to: target) }
      }
    }
    let last = SequenceLayout(offsets: Array(0...ended.count), pooled: [])
    let lastPass = LayerRunner<Stored>.Pass(
      span: RowSpan(last), sequences: last, part: nil, input: input.rows(0..<ended.count),
      sessions: ContinuedSessions(starts: ended.map { caches[$0].count - 1 }, chunks: [], layout: plan.layout))
    runner.run(plan.lastTokens, lastPass)
    return runner.view(.value(model.outputValue), plan.lastTokens, lastPass)
  }

  /// The inputs of a block, one below the other, where the model may overwrite them.
  private func gather(
    _ block: GenerationBlock, _ parts: [(cache: GenerationCache<Element>, rows: Tensor<Element>)]
  ) -> StoredMatrix<Element> {
    let width = model.inputWidth
    let inputs = newTokens.rows(block.tokens)
    var next = 0
    for slice in block.slices {
      let rows = next..<next + slice.rows.count
      parts[slice.part].rows.withUnsafeBufferPointer { elements in
        guard let source = elements.baseAddress else { return }
        inputs.rows(rows).write(
          MatrixView(reading: source + slice.rows.lowerBound * width, rows: rows.count, columns: width))
      }
      next = rows.upperBound
    }
    return inputs
  }
}
