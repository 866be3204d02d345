/// One layer's turn in a pass over a model.
enum LayerPass: Equatable {
  /// By the layer's place in `Model.layers`. For the first time, or again because its results were not kept.
  case forward(layer: Int)
  case backward(layer: Int)
}
