extension Tensor {
  /// A copy of rows `range`; the other dimensions stay.
  package func slice(rows range: Range<Int>) -> Tensor {
    let width = columns
    return withUnsafeBufferPointer { elements in
      Tensor(
        elements[(range.lowerBound * width)..<(range.upperBound * width)],
        shape: [range.count] + shape.dropFirst())
    }
  }
}

extension Tensor where Element: FloatingElement {
  /// Whether no element is NaN or infinite.
  package var allFinite: Bool {
    withUnsafeBufferPointer { elements in
      guard let base = elements.baseAddress else { return true }
      return Element.allFinite(elements.count, base)
    }
  }

  /// The same numbers in another format, rounded to nearest; itself when the format is the same.
  @specialized(where Element == Float, Target == Double)
  @specialized(where Element == Double, Target == Float)
  package func converted<Target: FloatingElement>(to type: Target.Type = Target.self) -> Tensor<Target> {
    if let same = self as? Tensor<Target> { return same }
    var result = Tensor<Target>(uninitialized: shape)
    result.withUnsafeMutableBufferPointer { destination in
      withUnsafeBufferPointer { source in
        for index in source.indices { destination[index] = Target(source[index]) }
      }
    }
    return result
  }
}
