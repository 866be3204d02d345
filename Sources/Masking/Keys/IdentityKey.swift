internal import Architecture
internal import Tensors

/// K = I: the space is in the clear.
struct IdentityKey<Element: FloatingElement>: SpaceKey {
  let width: Int

  var group: SymmetryGroup { .trivial }
  var magnitudes: (any SpaceKey<Element>)? { self }

  var movesNumbers: Bool { true }

  func positions(of coordinates: [Int32]) -> [Int32]? { coordinates }

  func transform<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, workers: Workers
  ) -> Tensor<Scalar> {
    rows
  }

  func transform<Scalar: FloatingElement>(
    columns: Tensor<Scalar>, _ direction: KeyDirection, workers: Workers
  ) -> Tensor<Scalar> {
    columns
  }

  func mask(inputs: Tensor<Element>, offset: Bool, workers: Workers) -> Tensor<Element> {
    let features = inputs.columns
    var masked = Tensor<Element>(zeros: [inputs.rows, width])
    masked.withUnsafeMutableBufferPointer { output in
      inputs.withUnsafeBufferPointer { input in
        for row in 0..<inputs.rows {
          let target = output[(row * width)...]
          _ = UnsafeMutableBufferPointer(rebasing: target.prefix(features))
            .update(fromContentsOf: input[(row * features)..<((row + 1) * features)])
          if offset { output[row * width + features] = 1 }
        }
      }
    }
    return masked
  }

  @specialized(where Element == Float)
  func mask(inputs: SparseRows<Element>, offset: Bool, workers: Workers) -> Tensor<Element> {
    var masked = Tensor<Element>(zeros: [inputs.rows, width])
    masked.withUnsafeMutableBufferPointer { output in
      for row in 0..<inputs.rows {
        if offset { output[row * width + inputs.columns] = 1 }
        for entry in inputs.starts[row]..<inputs.starts[row + 1] {
          output[row * width + Int(inputs.indices[entry])] += inputs.values[entry]
        }
      }
    }
    return masked
  }
}
