import Models
package import Numerics

extension HostedModel {
  /// An empty session.
  ///
  /// - Throws: `TrainingError.notGenerative` unless the model is a decoder: outputs by token, causal attention alone; `.invalidSetting` unless
  ///   `capacity` is 1 … the tokens of the graph's longest sample; `.tooLarge`.
  package func makeCache(capacity: Int) throws(TrainingError) -> GenerationCache<Element> {
    try GenerationCache(generation.get().layout, capacity: capacity)
  }

  /// Adds each part's tokens to its session, all sessions in one batch.
  ///
  /// Works through the tokens in blocks of 1,024, so that working memory is bounded however long a prompt is; layers behind the last attention run
  /// for the last tokens alone. A session's outputs equal those of `infer` over all its tokens, but for rounding: products of other sizes add in another
  /// order, so that neither how tokens are split into parts nor which sessions are asked together leaves the bits alone. The largest difference stays
  /// within 1e-5 of the largest output in single precision, 1e-12 in double.
  /// - Parameter parts: sessions, none twice, and the inputs of 1 or more new tokens of each, `[tokens, inputs]`.
  /// - Returns: the outputs of each part's last token, `[parts, outputs]`.
  /// - Throws: `TrainingError.notGenerative`; `.generationPart` for inputs of another shape or a cache of another model or given twice; `.cacheFull`;
  ///   `.tooLarge`. All caches are then as they were.
  package func extend(
    _ parts: [(cache: GenerationCache<Element>, rows: Tensor<Element>)]
  ) throws(TrainingError) -> Tensor<Element> {
    let plan = try generation.get()
    try check(parts, plan.layout)
    guard Shape.byteCount([parts.count, model.outputWidth], Element.elementType) != nil else { throw .tooLarge }
    var result = Tensor<Element>(uninitialized: [parts.count, model.outputWidth])
    // The parts end in their order, each in one block.
    result.withUnsafeMutableBufferPointer { elements in
      guard var next = elements.baseAddress else { return }
      for block in GenerationBlock.cut(parts.map(\.rows.rows), size: Inference<Element>.blockTokens) {
        guard let outputs = run(block, parts, plan) else { continue }
        next.update(from: outputs.base, count: outputs.count)
        next += outputs.count
      }
    }
    return result
  }

  private func check(
    _ parts: [(cache: GenerationCache<Element>, rows: Tensor<Element>)], _ layout: CacheLayout
  ) throws(TrainingError) {
    var seen = Set<ObjectIdentifier>()
    for (index, part) in parts.enumerated() {
      guard part.cache.layout == layout else { throw .generationPart(index, "the session is another model's") }
      guard seen.insert(ObjectIdentifier(part.cache)).inserted else {
        throw .generationPart(index, "the session is in another part, too")
      }
      let rows = part.rows
      guard rows.shape.count == 2, rows.rows >= 1, rows.columns == model.inputWidth else {
        throw .generationPart(index, "inputs must be 1 or more rows of \(model.inputWidth), not \(rows.shape)")
      }
      guard rows.rows <= part.cache.capacity - part.cache.count else {
        throw .cacheFull(part: index, tokens: part.cache.count + rows.rows, capacity: part.cache.capacity)
      }
    }
  }

  /// Runs one block of tokens and leaves their keys and values in the caches.
  ///
  /// - Returns: the outputs of the parts that end in it, in the working memory; nil where none does.
  private func run(
    _ block: GenerationBlock, _ parts: [(cache: GenerationCache<Element>, rows: Tensor<Element>)],
    _ plan: GenerationPlan
  ) -> MatrixView<Element>? {
    let layout = block.layout
    let caches = block.slices.map { parts[$0.part].cache }
    let starts = caches.map(\.count)
    for (slice, cache) in zip(block.slices, caches) { cache.reserve(slice.rows.count) }
    let input = gather(block, parts)
    let size = Inference<Element>.blockTokens
    runner.working.reserve(RowCounts(RowSpan(layout)), limit: RowCounts(samples: size, tokens: size))
    let pass = LayerRunner<Element>.Pass(
      span: RowSpan(layout), sequences: layout, part: nil, input: input,
      sessions: ContinuedSessions(starts: starts, caches: caches))
    runner.run(plan.allTokens, pass)
    for (slice, cache) in zip(block.slices, caches) { cache.commit(slice.rows.count) }

    let ended = block.slices.indices.filter { block.slices[$0].isLast }
    if ended.isEmpty { return nil }
    // The last tokens' rows move to the front, each from where none has been moved to yet.
    for value in plan.carried {
      guard let view = runner.view(.value(value), plan.allTokens, pass) else { continue }
      for (target, slice) in ended.enumerated() {
        let source = layout.offsets[slice + 1] - 1
        if source == target { continue }
        (view.base + target * view.stride).update(from: view.base + source * view.stride, count: view.columns)
      }
    }
    let last = SequenceLayout(offsets: Array(0...ended.count), pooled: [])
    let lastPass = LayerRunner<Element>.Pass(
      span: RowSpan(last), sequences: last, part: nil, input: input.rows(0..<ended.count),
      sessions: ContinuedSessions(starts: ended.map { caches[$0].count - 1 }, caches: []))
    runner.run(plan.lastTokens, lastPass)
    return runner.view(.value(model.outputValue), plan.lastTokens, lastPass)
  }

  /// The inputs of a block, one below the other, where the model may overwrite them.
  private func gather(
    _ block: GenerationBlock, _ parts: [(cache: GenerationCache<Element>, rows: Tensor<Element>)]
  ) -> MatrixView<Element> {
    let width = model.inputWidth
    if newTokens.rows < block.tokens {
      // The old memory goes first.
      newTokens = MatrixBuffer(rows: 0, columns: width)
      newTokens = MatrixBuffer(uninitializedRows: block.tokens, columns: width)
    }
    var next = newTokens.view.base
    for slice in block.slices {
      parts[slice.part].rows.withUnsafeBufferPointer { elements in
        guard let source = elements.baseAddress else { return }
        next.update(from: source + slice.rows.lowerBound * width, count: slice.rows.count * width)
      }
      next += slice.rows.count * width
    }
    return newTokens.view.rows(0..<block.tokens)
  }
}
