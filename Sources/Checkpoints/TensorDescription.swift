package import Architecture

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
