extension Tensor where Element: MultipliableElement & FloatingElement {
  /// op(A) op(B) as a new matrix; the sizes must fit.
  package func times(
    _ other: Tensor, transposed: Bool = false, otherTransposed: Bool = false, workers: Workers
  ) -> Tensor {
    let rows = transposed ? columns : self.rows
    let width = otherTransposed ? other.rows : other.columns
    var result = Tensor(zeros: [rows, width])
    result.withUnsafeMutableBufferPointer { c in
      withUnsafeBufferPointer { a in
        other.withUnsafeBufferPointer { b in
          guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress, rows > 0, width > 0 else { return }
          // Views are of mutable memory; a product only reads its factors.
          workers.matrixMultiply(
            MatrixView(UnsafeMutablePointer(mutating: a), rows: self.rows, columns: columns), transposeA: transposed,
            MatrixView(UnsafeMutablePointer(mutating: b), rows: other.rows, columns: other.columns),
            transposeB: otherTransposed, into: MatrixView(c, rows: rows, columns: width))
        }
      }
    }
    return result
  }
}

extension Tensor {
  /// Columns 0 ..< count, copied.
  package func firstColumns(_ count: Int) -> Tensor {
    var result = Tensor(uninitialized: [rows, count])
    let width = columns
    result.withUnsafeMutableBufferPointer { target in
      withUnsafeBufferPointer { source in
        for row in 0..<rows {
          for column in 0..<count { target[row * count + column] = source[row * width + column] }
        }
      }
    }
    return result
  }

  package var transposed: Tensor {
    var result = Tensor(uninitialized: [columns, rows])
    let (rows, columns) = (rows, columns)
    result.withUnsafeMutableBufferPointer { target in
      withUnsafeBufferPointer { source in
        for row in 0..<rows {
          for column in 0..<columns { target[column * rows + row] = source[row * columns + column] }
        }
      }
    }
    return result
  }
}
