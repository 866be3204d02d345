internal import Tensors

/// Rounds or widens `source` into `target` of the same count.
@specialized(where Source == Float, Target == Double)
@specialized(where Source == Double, Target == Float)
@specialized(where Source == Float, Target == Float)
@specialized(where Source == Double, Target == Double)
func convert<Source: FloatingElement, Target: FloatingElement>(
  _ source: UnsafeBufferPointer<Source>, into target: UnsafeMutableBufferPointer<Target>
) {
  for index in 0..<source.count { target[index] = Target(source[index]) }
}

extension Tensor where Element: FloatingElement {
  /// The same numbers in another format; the tensor itself when the formats agree.
  func converted<Target: FloatingElement>(to type: Target.Type) -> Tensor<Target> {
    if let same = self as? Tensor<Target> { return same }
    var result = Tensor<Target>(uninitialized: shape)
    withUnsafeBufferPointer { source in
      result.withUnsafeMutableBufferPointer { convert(source, into: $0) }
    }
    return result
  }
}
