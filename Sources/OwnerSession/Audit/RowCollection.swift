import Tensors

/// Rows that arrive in pieces.
struct RowCollection {
  private var elements: [Float] = []
  private var columns = 0

  mutating func append(_ rows: Tensor<Float>) {
    columns = rows.columns
    rows.withUnsafeBufferPointer { elements.append(contentsOf: $0) }
  }

  var isEmpty: Bool { elements.isEmpty }

  func joined() -> Tensor<Float> {
    Tensor(elements, shape: [columns == 0 ? 0 : elements.count / columns, columns])
  }
}
