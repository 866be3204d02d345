internal import Tensors

extension OrthogonalKey {
  /// Columns of the result done at a time: 64 columns of 2050 rows of Kᵀ in Float are 525 KB, which stays in a second-level
  /// cache while all input rows pass.
  private static var columnsInBlock: Int { 64 }
  /// From how many input rows on it pays to copy a block of Kᵀ into contiguous memory first: the copy touches w · 64
  /// numbers, a row about (its entries) · 64, scattered over w pages unless copied. Changes no bits.
  private static var rowsWorthCopying: Int { 256 }

  /// x' = Σ v_j K[:, j] + K[:, d], each output number summed in the order of the row's entries after the offset, whatever
  /// the other rows are.
  func mask(inputs: SparseRows<Element>, offset: Bool, workers: Workers) -> Tensor<Element> {
    let (count, width, features) = (inputs.rows, width, inputs.columns)
    let block = Self.columnsInBlock
    let usedRows = offset ? features + 1 : features
    var masked = Tensor<Element>(uninitialized: [count, width])
    masked.withUnsafeMutableBufferPointer { output in
      transposed.withUnsafeBufferPointer { key in
        guard let output = output.baseAddress, let key = key.baseAddress else { return }
        // Safe to share: every piece reads the key and writes columns of its own.
        nonisolated(unsafe) let (y, keyBase) = (output, key)
        workers.perform(pieces: (width + block - 1) / block) { piece in
          let columns = piece * block..<min(width, (piece + 1) * block)
          let target = y + columns.lowerBound
          if count < Self.rowsWorthCopying {
            accumulate(
              inputs, offset: offset, panel: keyBase + columns.lowerBound, leading: width, columns: columns.count,
              into: target, leadingOutput: width)
            return
          }
          let copy = SecretTensor<Element>(shape: [usedRows, columns.count]) { copy in
            guard let copy = copy.baseAddress else { return }
            for row in 0..<usedRows {
              (copy + row * columns.count)
                .update(from: keyBase + row * width + columns.lowerBound, count: columns.count)
            }
          }
          copy.withUnsafeBufferPointer { copy in
            guard let copy = copy.baseAddress else { return }
            accumulate(
              inputs, offset: offset, panel: copy, leading: columns.count, columns: columns.count, into: target,
              leadingOutput: width)
          }
        }
      }
    }
    return masked
  }

  /// One block of columns for all rows. Four entries at a time, so that the sums are loaded and stored a quarter as often;
  /// each sum still adds one entry after the other.
  @specialized(where Element == Float)
  @specialized(where Element == Double)
  private func accumulate(
    _ inputs: SparseRows<Element>, offset: Bool, panel: UnsafePointer<Element>, leading: Int, columns: Int,
    into output: UnsafeMutablePointer<Element>, leadingOutput: Int
  ) {
    inputs.indices.withUnsafeBufferPointer { indices in
      inputs.values.withUnsafeBufferPointer { values in
        for row in 0..<inputs.rows {
          let sums = output + row * leadingOutput
          if offset {
            sums.update(from: panel + inputs.columns * leading, count: columns)
          } else {
            sums.update(repeating: 0, count: columns)
          }
          var entry = inputs.starts[row]
          let end = inputs.starts[row + 1]
          while entry + 4 <= end {
            let (v0, v1, v2, v3) = (values[entry], values[entry + 1], values[entry + 2], values[entry + 3])
            let p0 = panel + Int(indices[entry]) * leading
            let p1 = panel + Int(indices[entry + 1]) * leading
            let p2 = panel + Int(indices[entry + 2]) * leading
            let p3 = panel + Int(indices[entry + 3]) * leading
            for column in 0..<columns {
              var sum = sums[column] + v0 * p0[column]
              sum += v1 * p1[column]
              sum += v2 * p2[column]
              sum += v3 * p3[column]
              sums[column] = sum
            }
            entry += 4
          }
          while entry < end {
            let value = values[entry]
            let column0 = panel + Int(indices[entry]) * leading
            for column in 0..<columns { sums[column] += value * column0[column] }
            entry += 1
          }
        }
      }
    }
  }
}
