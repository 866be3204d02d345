/// Weights that do not fit the model they are for.
package enum PlaintextLayoutProblem: Equatable, Sendable, CustomStringConvertible {
  case missingTensor(String)
  case unexpectedTensor(String)
  case shape(name: String, expected: [Int], found: [Int])
  /// A specification with homogeneous columns that names no bias or is not a matrix of their width.
  case malformedSpecification(String)

  package var description: String {
    switch self {
    case .missingTensor(let name): "the weights have no `\(name)`"
    case .unexpectedTensor(let name): "the weights hold `\(name)`, which the model does not have"
    case .shape(let name, let expected, let found):
      "the weights' `\(name)` has the shape \(found) instead of \(expected)"
    case .malformedSpecification(let name):
      "the model's description of `\(name)` is not a homogeneous matrix with a bias"
    }
  }
}
