import Tensors

extension Tensor where Element: FloatingElement {
  /// Multiplies column j of a matrix by `factors[j]`, or divides by it; `factors` has as many entries as there are columns.
  mutating func scaleColumns(by factors: Tensor<Element>, dividing: Bool = false) {
    let columns = columns
    withUnsafeMutableBufferPointer { entries in
      factors.withUnsafeBufferPointer { factors in
        guard factors.count == columns else { return }
        for row in 0..<entries.count / max(1, columns) {
          for column in 0..<columns {
            if dividing {
              entries[row * columns + column] /= factors[column]
            } else {
              entries[row * columns + column] *= factors[column]
            }
          }
        }
      }
    }
  }
}
