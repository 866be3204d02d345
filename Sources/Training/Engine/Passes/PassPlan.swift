/// The order in which layers run in a pass over a model, and the memory of every matrix that they touch.
struct PassPlan {
  enum Place: Equatable {
    /// Lives as long as the part of a batch that the pass is over: a number into `MemoryPlan.partShapes`.
    case part(Int)
    /// Lives during the pass only: a slot of the working memory.
    case working(Int)
  }

  let passes: [LayerPass]
  /// A value that is not here is the caller's; where a layer's `kept` is not here, it keeps nothing.
  let places: [ModelMatrix: Place]
}
