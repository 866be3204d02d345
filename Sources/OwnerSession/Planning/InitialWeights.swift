import Masking
package import Architecture
package import Tensors

/// Starting weights as PyTorch draws them for `nn.Linear`: uniform in ±1/√(inputs), weights and biases alike (Kaiming uniform with
/// a = √5, `torch/nn/modules/linear.py`).
package enum InitialWeights {
  /// One tensor a parameter, homogeneous ones as [W | b | 0_k].
  package static func draw<Element: FloatingElement>(
    _ specifications: [ParameterSpecification], secret: OrderSecret
  ) -> [Tensor<Element>] {
    var fanIn: [SpaceID: Int] = [:]
    return specifications.map { specification in
      let stream = secret.stream(label: "initial/\(specification.name)")
      let inputs =
        specification.homogeneous?.features
        ?? (specification.shape.count > 1 ? specification.shape[1] : fanIn[specification.rows] ?? specification.shape[0])
      fanIn[specification.rows] = inputs
      let bound = 1 / Double(inputs).squareRoot()
      var tensor = Tensor<Element>(zeros: specification.shape)
      let drawn = specification.homogeneous.map { $0.features + 1 } ?? tensor.columns
      tensor.withUnsafeMutableBufferPointer { elements in
        let columns = elements.count / max(1, specification.shape[0])
        for row in 0..<specification.shape[0] {
          for column in 0..<drawn {
            // Drawn in single precision so that a file of float32 holds the weights exactly, whatever they are trained in.
            elements[row * columns + column] = Element(Float((2 * stream.nextUniform() - 1) * bound))
          }
        }
      }
      return tensor
    }
  }
}
