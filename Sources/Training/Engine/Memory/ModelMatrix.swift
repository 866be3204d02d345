/// A matrix that a pass over a model reads or writes.
enum ModelMatrix: Hashable {
  /// By its place in `Model.values`.
  case value(Int)
  /// ∂L/∂value.
  case gradient(Int)
  /// What a layer keeps for its backward pass, by the layer's place in `Model.layers`.
  case kept(Int)
}

extension Model {
  func shape(of matrix: ModelMatrix) -> MatrixShape {
    switch matrix {
    case .value(let number), .gradient(let number):
      MatrixShape(columns: values[number].width, domain: values[number].domain)
    case .kept(let layer):
      MatrixShape(columns: layers[layer].keptColumns, domain: values[layers[layer].output].domain)
    }
  }
}
