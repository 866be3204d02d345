/// Checked arithmetic on tensor shapes that come from outside.
package enum Shape {
  /// The product of `shape`; nil when a dimension is negative or the product overflows.
  package static func elementCount(_ shape: [Int]) -> Int? {
    var total = 1
    for dimension in shape {
      guard dimension >= 0 else { return nil }
      let (product, overflow) = total.multipliedReportingOverflow(by: dimension)
      if overflow { return nil }
      total = product
    }
    return total
  }

  /// The bytes a tensor of `shape` takes; nil as for `elementCount`.
  package static func byteCount(_ shape: [Int], _ type: ElementType) -> Int? {
    guard let count = elementCount(shape) else { return nil }
    let (bytes, overflow) = count.multipliedReportingOverflow(by: type.byteCount)
    return overflow ? nil : bytes
  }

  /// The sum of counts; nil when one of them is nil or the sum overflows.
  package static func sum(_ counts: [Int?]) -> Int? {
    var total = 0
    for count in counts {
      guard let count else { return nil }
      let (sum, overflow) = total.addingReportingOverflow(count)
      if overflow { return nil }
      total = sum
    }
    return total
  }
}
