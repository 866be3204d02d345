import Failures
package import Architecture
import Tensors

/// Between trained tensors and PyTorch's layout. They differ in the layer that reads homogeneous rows x̃ = [x; 1; 0_k]: its
/// one matrix [W | b | 0_k] (out × (d+1+k)) is `layers.0.weight` (out × d) and `layers.0.bias` (out) in PyTorch.
package enum PlaintextLayout {
  /// Unmasked trained tensors under PyTorch's names. The k padding columns are dropped: x̃ is zero there, so that they
  /// have no effect on the output and no gradient.
  ///
  /// - Throws: `.layout` for tensors missing, left over, or of another shape than specified.
  package static func plaintextTensors<Element>(
    from parameters: NamedTensors<Element>, specifications: [ParameterSpecification]
  ) throws(CheckpointError) -> NamedTensors<Element> {
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
  ) throws(CheckpointError) -> NamedTensors<Element> {
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
  ) throws(CheckpointError) -> String {
    guard let name = specification.biasName, specification.shape.count == 2, specification.shape[1] == columns.width
    else { throw .layout(.malformedSpecification(specification.name)) }
    return name
  }

  private static func tensor<Element>(
    _ name: String, of tensors: NamedTensors<Element>
  ) throws(CheckpointError) -> Tensor<Element> {
    guard let tensor = tensors[name] else { throw .layout(.missingTensor(name)) }
    return tensor
  }

  /// Exactly the expected names, each with the expected shape.
  private static func check<Element>(
    _ tensors: NamedTensors<Element>, against expected: [TensorDescription]
  ) throws(CheckpointError) {
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
