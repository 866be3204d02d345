package import Models
import Foundations
package import Numerics

/// Between trained tensors and PyTorch's layout. They differ in the layer that reads homogeneous rows x̃ = [x; 1; 0_k]: its
/// one matrix [W | b | 0_k] (out × (d+1+k)) is `layers.0.weight` (out × d) and `layers.0.bias` (out) in PyTorch.
package enum PlaintextLayout {
  /// Unmasked trained tensors under PyTorch's names. The k padding columns are dropped: x̃ is zero there, so that they
  /// have no effect on the output and no gradient.
  ///
  /// - Throws: `.layout` for tensors missing, left over, or of another shape than specified.
  package static func plaintextTensors<Element>(
    from parameters: NamedTensors<Element>, specifications: [ParameterSpecification]
  ) throws(FileError) -> NamedTensors<Element> {
    try check(parameters, against: specifications.map(TensorDescription.init))
    var result = NamedTensors<Element>()
    for specification in specifications {
      let tensor = try tensor(specification.name, of: parameters)
      guard let columns = specification.homogeneous else {
        result[specification.name] = tensor
        continue
      }
      let biasName = try biasName(of: specification, columns)
      let (weight, bias) = split(tensor, columns)
      result[specification.name] = weight
      result[biasName] = bias
    }
    return result
  }

  /// PyTorch's tensors as they are trained, in the order of the specifications; padding columns are zero.
  ///
  /// - Throws: `.layout` as above.
  package static func trainedTensors<Element>(
    from plaintext: NamedTensors<Element>, specifications: [ParameterSpecification]
  ) throws(FileError) -> NamedTensors<Element> {
    var expected: [TensorDescription] = []
    for specification in specifications {
      guard let columns = specification.homogeneous else {
        expected.append(TensorDescription(specification))
        continue
      }
      let biasName = try biasName(of: specification, columns)
      let rows = specification.shape[0]
      expected.append(TensorDescription(name: specification.name, shape: [rows, columns.features]))
      expected.append(TensorDescription(name: biasName, shape: [rows]))
    }
    try check(plaintext, against: expected)
    var result = NamedTensors<Element>()
    for specification in specifications {
      let weight = try tensor(specification.name, of: plaintext)
      guard let columns = specification.homogeneous else {
        result[specification.name] = weight
        continue
      }
      let bias = try tensor(biasName(of: specification, columns), of: plaintext)
      result[specification.name] = joined(weight, bias, columns)
    }
    return result
  }

  private static func split<Element>(
    _ matrix: Tensor<Element>, _ columns: HomogeneousColumns
  ) -> (weight: Tensor<Element>, bias: Tensor<Element>) {
    let rows = matrix.rows
    let features = columns.features
    var weight = Tensor<Element>(uninitialized: [rows, features])
    var bias = Tensor<Element>(uninitialized: [rows])
    matrix.withUnsafeBufferPointer { source in
      weight.withUnsafeMutableBufferPointer { target in
        for row in 0..<rows {
          for column in 0..<features { target[row * features + column] = source[row * columns.width + column] }
        }
      }
      bias.withUnsafeMutableBufferPointer { target in
        for row in 0..<rows { target[row] = source[row * columns.width + features] }
      }
    }
    return (weight, bias)
  }

  private static func joined<Element>(
    _ weight: Tensor<Element>, _ bias: Tensor<Element>, _ columns: HomogeneousColumns
  ) -> Tensor<Element> {
    let rows = weight.rows
    let features = columns.features
    var matrix = Tensor<Element>(zeros: [rows, columns.width])
    matrix.withUnsafeMutableBufferPointer { target in
      weight.withUnsafeBufferPointer { source in
        for row in 0..<rows {
          for column in 0..<features { target[row * columns.width + column] = source[row * features + column] }
        }
      }
      bias.withUnsafeBufferPointer { source in
        for row in 0..<rows { target[row * columns.width + features] = source[row] }
      }
    }
    return matrix
  }

  private static func biasName(
    of specification: ParameterSpecification, _ columns: HomogeneousColumns
  ) throws(FileError) -> String {
    guard let name = specification.biasName, specification.shape.count == 2, specification.shape[1] == columns.width
    else { throw .layout(.malformedSpecification(specification.name)) }
    return name
  }

  private static func tensor<Element>(
    _ name: String, of tensors: NamedTensors<Element>
  ) throws(FileError) -> Tensor<Element> {
    guard let tensor = tensors[name] else { throw .layout(.missingTensor(name)) }
    return tensor
  }

  /// Exactly the expected names, each with the expected shape.
  private static func check<Element>(
    _ tensors: NamedTensors<Element>, against expected: [TensorDescription]
  ) throws(FileError) {
    for description in expected {
      let found = try tensor(description.name, of: tensors).shape
      guard found == description.shape else {
        throw .layout(.shape(name: description.name, expected: description.shape, found: found))
      }
    }
    let names = Set(expected.map(\.name))
    if let other = tensors.names.first(where: { !names.contains($0) }) {
      throw .layout(.unexpectedTensor(other.printable(limit: 80)))
    }
  }
}

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

/// A tensor that is expected: what a file must hold to be of use.
package struct TensorDescription: Sendable, Equatable {
  package let name: String
  package let shape: [Int]

  package init(name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
  }

  package init(_ specification: ParameterSpecification) {
    self.init(name: specification.name, shape: specification.shape)
  }
}

/// Tensors under names, in a fixed order: the weights of a model, or the state of an optimizer.
///
/// A container to save, send and convert. Two are equal when names, order, shapes and elements are.
package struct NamedTensors<Element: TensorElement>: Sendable, Equatable {
  package private(set) var names: [String] = []
  private var tensors: [Tensor<Element>] = []
  private var positions: [String: Int] = [:]

  package init() {}

  /// In the order given; a name that comes again replaces the tensor and keeps the place.
  package init(_ pairs: some Sequence<(String, Tensor<Element>)>) {
    for (name, tensor) in pairs { self[name] = tensor }
  }

  /// The tensor called `name`; setting adds at the end, replaces in place, or with nil removes.
  package subscript(name: String) -> Tensor<Element>? {
    get { positions[name].map { tensors[$0] } }
    set {
      switch (positions[name], newValue) {
      case (let position?, let tensor?): tensors[position] = tensor
      case (nil, let tensor?):
        positions[name] = names.count
        names.append(name)
        tensors.append(tensor)
      case (let position?, nil):
        names.remove(at: position)
        tensors.remove(at: position)
        positions = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
      case (nil, nil): break
      }
    }
  }

  /// Names and shapes, in order.
  package var descriptions: [TensorDescription] {
    map { TensorDescription(name: $0.name, shape: $0.tensor.shape) }
  }
}

extension NamedTensors: RandomAccessCollection {
  package var startIndex: Int { 0 }
  package var endIndex: Int { names.count }

  package subscript(position: Int) -> (name: String, tensor: Tensor<Element>) {
    (names[position], tensors[position])
  }
}
