extension Tensor where Element: FloatingElement {
  /// Of each row the `count` largest elements, largest first, and their columns: `[rows, count]` each. Of equal elements those with lower columns come
  /// first; NaN comes last, behind −∞.
  ///
  /// Takes time in proportion to elements · log(count). The tensor is a matrix of fewer than 2³¹ columns.
  /// - Parameter count: taken as 0 when it is negative, and as all columns when there are fewer.
  @specialized(where Element == Float)
  @specialized(where Element == Double)
  package func largest(_ count: Int) -> (values: Tensor, columns: Tensor<Int32>) {
    let (width, count) = (columns, Swift.max(0, Swift.min(count, columns)))
    var values = Tensor(uninitialized: [rows, count])
    var places = Tensor<Int32>(uninitialized: [rows, count])
    if count == 0 { return (values, places) }
    let rows = rows
    withUnsafeBufferPointer { elements in
      values.withUnsafeMutableBufferPointer { values in
        places.withUnsafeMutableBufferPointer { places in
          for row in 0..<rows {
            let best = UnsafeBufferPointer(rebasing: elements[row * width..<(row + 1) * width]).largest(count)
            for (place, column) in best.enumerated() {
              values[row * count + place] = elements[row * width + column]
              places[row * count + place] = Int32(truncatingIfNeeded: column)
            }
          }
        }
      }
    }
    return (values, places)
  }
}

extension UnsafeBufferPointer where Element: FloatingElement {
  /// Places of the `count` largest elements, 1 or more, in the order of `Tensor.largest`.
  @specialized(where Element == Float)
  @specialized(where Element == Double)
  fileprivate func largest(_ count: Int) -> ArraySlice<Int> {
    func outranks(_ left: Int, _ right: Int) -> Bool {
      let (a, b) = (self[left], self[right])
      if a > b { return true }
      if a < b { return false }
      // Equal, or one of them is no number.
      return a.isNaN == b.isNaN ? left < right : b.isNaN
    }
    // Sorted and cut to `count` whenever it is full, so that each element that comes in pays for log(count) comparisons.
    let room = Swift.max(64, 2 * count)
    var kept: [Int] = []
    var last: Int?
    for place in indices {
      if let last, !outranks(place, last) { continue }
      kept.append(place)
      guard kept.count == room else { continue }
      kept.sort(by: outranks)
      kept.removeLast(room - count)
      last = kept.last
    }
    kept.sort(by: outranks)
    return kept.prefix(count)
  }
}
