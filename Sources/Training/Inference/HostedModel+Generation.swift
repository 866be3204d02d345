import Models
package import Numerics

extension HostedModel {
  /// An empty session.
  ///
  /// - Throws: `TrainingError.notGenerative` unless the model is a decoder: outputs by token, causal attention alone; `.invalidSetting` unless
  ///   `capacity` is 1 … the tokens of the graph's longest sample; `.tooLarge`.
  package func makeCache(capacity: Int) throws(TrainingError) -> GenerationCache<Element> {
    try passes.makeCache(generation.get().layout, capacity: capacity)
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
    return passes.extend(parts, plan)
  }

  private func check(
    _ parts: [(cache: GenerationCache<Element>, rows: Tensor<Element>)], _ layout: CacheLayout
  ) throws(TrainingError) {
    var seen = Set<ObjectIdentifier>()
    for (index, part) in parts.enumerated() {
      guard part.cache.layout == layout, passes.canExtend(part.cache) else {
        throw .generationPart(index, "the session is another model's")
      }
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
}
