import Cryptography
package import Models
package import Files
import Masking
package import Numerics

/// Where a model's weights are taken from, one tensor at a time, so that a model of several GB is never in memory twice.
package protocol PlaintextWeights: Sendable {
  /// The tensor that the trainer's model has under `specification`, unmasked.
  ///
  /// - Throws: for a tensor that is missing, misshapen or unreadable.
  func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) throws(FileError) -> Tensor<
    Element
  >
}

/// Starting weights drawn from the owner's secret, as PyTorch draws them where it has a rule.
///
/// `nn.Linear`: uniform in ±1/√(inputs), weights and biases alike (Kaiming uniform with a = √5, `torch/nn/modules/linear.py`); each
/// tensor from a stream of its own name, so that it does not depend on the others.
package struct FreshWeights: PlaintextWeights {
  private let secret: OrderSecret
  /// Inputs of the linear layer that a bias belongs to, by the bias's name.
  private let inputsOfBias: [String: Int]

  /// - Parameter specifications: of the whole model; a bias follows the weight of its layer.
  package init(_ specifications: [ParameterSpecification], secret: OrderSecret) {
    self.secret = secret
    var inputs: [String: Int] = [:]
    var latest: [SpaceID: Int] = [:]
    for specification in specifications {
      if specification.shape.count > 1 {
        latest[specification.rows] = specification.shape[1]
      } else {
        inputs[specification.name] = latest[specification.rows] ?? specification.shape.first ?? 1
      }
    }
    inputsOfBias = inputs
  }

  /// Homogeneous matrices as [W | b | 0_k]. A pretrained tensor is not this source's: it comes as zeros.
  package func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) -> Tensor<Element> {
    let stream = secret.stream(label: "initial/\(specification.name)")
    switch specification.origin {
    case .linear:
      let inputs =
        specification.homogeneous?.features
        ?? (specification.shape.count > 1
          ? specification.shape[1] : inputsOfBias[specification.name] ?? specification.shape.first ?? 1)
      let bound = 1 / Double(inputs).squareRoot()
      return fill(specification) { numbers in
        for index in numbers.indices { numbers[index] = (2 * stream.nextUniform() - 1) * bound }
      }
    case .normal(let deviation):
      return fill(specification) { numbers in
        stream.fillGaussian(numbers)
        for index in numbers.indices { numbers[index] *= deviation }
      }
    case .pretrained, .zeros: return Tensor(zeros: specification.shape)
    }
  }

  /// Rounded to single precision so that a file of float32 holds the weights exactly, whatever they are trained in.
  ///
  /// - Parameter draw: called for each row of the weight in order.
  private func fill<Element: FloatingElement>(
    _ specification: ParameterSpecification, _ draw: (UnsafeMutableBufferPointer<Double>) -> Void
  ) -> Tensor<Element> {
    var tensor = Tensor<Element>(zeros: specification.shape)
    let rows = specification.shape.first ?? 0
    tensor.withUnsafeMutableBufferPointer { elements in
      let columns = elements.count / max(1, rows)
      let drawn = specification.homogeneous.map { $0.features + 1 } ?? columns
      var numbers = [Double](repeating: 0, count: drawn)
      for row in 0..<rows {
        numbers.withUnsafeMutableBufferPointer { draw($0) }
        for column in 0..<drawn { elements[row * columns + column] = Element(Float(numbers[column])) }
      }
    }
    return tensor
  }
}

/// Trained weights by name; what was not trained comes from its source.
struct FinishedWeights<Stored: FloatingElement>: PlaintextWeights {
  private let trained: NamedTensors<Stored>
  private let frozen: (any PlaintextWeights)?

  init(trained: NamedTensors<Stored>, frozen: (any PlaintextWeights)?) {
    self.trained = trained
    self.frozen = frozen
  }

  func tensor<Element: FloatingElement>(_ specification: ParameterSpecification) throws(FileError) -> Tensor<
    Element
  > {
    if let tensor = trained[specification.name] { return tensor.converted(to: Element.self) }
    guard let frozen else { throw .layout(.missingTensor(specification.name)) }
    return try frozen.tensor(specification)
  }
}
