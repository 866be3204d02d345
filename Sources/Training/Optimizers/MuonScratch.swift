import Architecture
import Tensors

/// Memory for Newton–Schulz steps on the largest parameter; smaller ones use the front of it.
struct MuonScratch<Element: FloatingElement> {
  private let direction: MatrixBuffer<Element>
  private let product: MatrixBuffer<Element>
  private let gram: MatrixBuffer<Element>
  private let polynomial: MatrixBuffer<Element>

  init(_ parameters: [ParameterSpecification]) {
    let sizes = Self.sizes(parameters)
    direction = MatrixBuffer(rows: 1, columns: sizes.matrix)
    product = MatrixBuffer(rows: 1, columns: sizes.matrix)
    gram = MatrixBuffer(rows: 1, columns: sizes.square)
    polynomial = MatrixBuffer(rows: 1, columns: sizes.square)
  }

  /// Elements of the largest parameter and of the largest s × s, each needed twice.
  static func sizes(_ parameters: [ParameterSpecification]) -> (matrix: Int, square: Int) {
    let shapes = parameters.map(\.bufferShape)
    return (
      shapes.map { $0.rows * $0.columns }.max() ?? 0,
      shapes.map { min($0.rows, $0.columns) }.map { $0 * $0 }.max() ?? 0
    )
  }

  /// Elements of all four buffers; nil when the count overflows.
  static func elementCount(_ parameters: [ParameterSpecification]) -> Int? {
    let sizes = sizes(parameters)
    return Shape.sum([sizes.matrix, sizes.matrix, sizes.square, sizes.square])
  }

  func directions(rows: Int, columns: Int) -> (first: MatrixView<Element>, second: MatrixView<Element>) {
    (
      MatrixView(direction.view.base, rows: rows, columns: columns),
      MatrixView(product.view.base, rows: rows, columns: columns)
    )
  }

  func grams(side: Int) -> (gram: MatrixView<Element>, polynomial: MatrixView<Element>) {
    (
      MatrixView(gram.view.base, rows: side, columns: side),
      MatrixView(polynomial.view.base, rows: side, columns: side)
    )
  }
}
