import Models
import Numerics

/// Memory of a model's weights, in the order of `structure.parameters`, and what may be put there.
extension Model {
  /// One buffer for each parameter, of zeros. The sizes must have been counted before (`memoryEstimate` of whoever asks).
  func makeWeights<Element: FloatingElement>(_: Element.Type = Element.self) -> [MatrixBuffer<Element>] {
    structure.parameters.map { $0.makeBuffer() }
  }

  /// Lets `loading` write all elements of each parameter in turn, row-major, to where they stay.
  ///
  /// - Throws: what `loading` throws; `TrainingError.nonFiniteParameter`.
  func load<Element: FloatingElement>(
    into weights: [MatrixBuffer<Element>],
    loading: (_ index: Int, _ elements: UnsafeMutableBufferPointer<Element>) throws -> Void
  ) throws {
    for (index, (buffer, parameter)) in zip(weights, structure.parameters).enumerated() {
      try loading(index, buffer.elements)
      guard buffer.isFinite else { throw TrainingError.nonFiniteParameter(name: parameter.name) }
    }
  }

  /// - Throws: `TrainingError.parameterCount`, `.parameterShape`, `.nonFiniteParameter`; nothing is changed then.
  func assign<Element: FloatingElement>(
    _ parameters: [Tensor<Element>], to weights: [MatrixBuffer<Element>]
  ) throws(TrainingError) {
    try check(parameters)
    for (buffer, tensor) in zip(weights, parameters) { buffer.assign(tensor) }
  }
}

extension ParameterSpecification {
  /// The matrix a parameter is kept as: a vector of n is 1 × n.
  var bufferShape: (rows: Int, columns: Int) {
    shape.count < 2 ? (1, shape.first ?? 1) : (shape[0], shape.dropFirst().reduce(1, *))
  }

  /// A matrix of zeros for it, or for what has its shape.
  func makeBuffer<Element: FloatingElement>() -> MatrixBuffer<Element> {
    let (rows, columns) = bufferShape
    return MatrixBuffer(rows: rows, columns: columns)
  }
}

extension MatrixBuffer where Element: FloatingElement {
  var isFinite: Bool {
    elements.baseAddress.map { Element.allFinite(count, $0) } ?? true
  }
}
