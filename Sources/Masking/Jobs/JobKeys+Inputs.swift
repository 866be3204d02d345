internal import Architecture
package import Tensors

extension JobKeys {
  /// x' = K [x; 1; 0_k] = T x + δ for every row, or K x when the input space is not homogeneous.
  ///
  /// Under a rotation the last bits of a row may depend on how many rows come with it: present a row in the same block each
  /// time it must have the same bits. A permutation changes no bits.
  ///
  /// - Parameter rows: `[n, d]`.
  /// - Returns: `[n, w]`.
  /// - Throws: `MaskingError.shape`.
  package func maskInputs(_ rows: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(rows.shape, is: [rows.rows, features], "an input batch")
    return inputKey.mask(inputs: rows, offset: plan.input.homogeneous != nil, workers: workers)
  }

  /// The same for sparse rows, whose bits depend on the row alone.
  package func maskInputs(_ rows: SparseRows<Element>) throws(MaskingError) -> Tensor<Element> {
    try check([rows.rows, rows.columns], is: [rows.rows, features], "an input batch")
    return inputKey.mask(inputs: rows, offset: plan.input.homogeneous != nil, workers: workers)
  }

  /// x from x', without the constant and the padding: `[n, w]` to `[n, d]`.
  package func unmaskInputs(_ masked: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(masked.shape, is: [masked.rows, plan.input.width], "a masked input batch")
    let (features, width) = (features, plan.input.width)
    let whole = inputKey.transform(rows: masked, .unmask, workers: workers)
    if features == width { return whole }
    var rows = Tensor<Element>(uninitialized: [masked.rows, features])
    rows.withUnsafeMutableBufferPointer { target in
      whole.withUnsafeBufferPointer { source in
        for row in 0..<masked.rows {
          _ = UnsafeMutableBufferPointer(rebasing: target[(row * features)..<((row + 1) * features)])
            .update(fromContentsOf: source[(row * width)..<(row * width + features)])
        }
      }
    }
    return rows
  }

  /// d.
  private var features: Int { plan.input.homogeneous?.features ?? plan.input.width }
}
