import Architecture
package import Tensors

extension Model {
  /// - Throws: `TrainingError.parameterCount`, `.parameterShape`, `.nonFiniteParameter` unless these are finite tensors of
  ///   the model's parameters, in the order of `structure.parameters`.
  package func check<Element: FloatingElement>(_ parameters: [Tensor<Element>]) throws(TrainingError) {
    guard parameters.count == structure.parameters.count else {
      throw .parameterCount(expected: structure.parameters.count, found: parameters.count)
    }
    for (tensor, specification) in zip(parameters, structure.parameters) {
      guard tensor.shape == specification.shape else {
        throw .parameterShape(name: specification.name, expected: specification.shape, found: tensor.shape)
      }
      guard Workers(threads: 1).allFinite(tensor) else { throw .nonFiniteParameter(name: specification.name) }
    }
  }
}
