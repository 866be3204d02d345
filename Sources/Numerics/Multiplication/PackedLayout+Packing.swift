import CKernels

extension PackedLayout {
  /// Packs a part of the right operand, of which `b` is all, or its transpose.
  func packRight(
    _ b: MatrixView<Float>, transposed: Bool, _ part: ckernels_number_part, block: Range<Int>, columns: Range<Int>,
    into panels: UnsafeMutablePointer<UInt32>
  ) {
    let (row, column) = transposed ? (columns.lowerBound, block.lowerBound) : (block.lowerBound, columns.lowerBound)
    ckernels_pack_right(
      path, part, b.base + row * b.stride + column, b.stride, transposed, columns.count, block.count,
      units(block.count), panels)
  }

  /// The same of a matrix that may be of bfloat16 numbers, all of whose bits are in their high part.
  func packRight(
    _ b: StoredMatrix<Float>, transposed: Bool, _ part: ckernels_number_part, block: Range<Int>, columns: Range<Int>,
    into panels: UnsafeMutablePointer<UInt32>
  ) {
    switch b {
    case .full(let b):
      packRight(b, transposed: transposed, part, block: block, columns: columns, into: panels)
    case .narrow(let b):
      let (row, column) = transposed ? (columns.lowerBound, block.lowerBound) : (block.lowerBound, columns.lowerBound)
      ckernels_pack_right_bfloat16(
        path, (b.base + row * b.stride + column).bits, b.stride, transposed, columns.count, block.count,
        units(block.count), panels)
    }
  }

  /// Packs some rows of a block of the left operand, or of its transpose, from `left` on.
  func packLeft(
    _ a: StoredMatrix<Float>, transposed: Bool, _ part: ckernels_number_part, block: Range<Int>, rows: Range<Int>,
    into left: UnsafeMutablePointer<UInt32>
  ) {
    let units = units(block.count)
    let (row, column) = transposed ? (block.lowerBound, rows.lowerBound) : (rows.lowerBound, block.lowerBound)
    switch a {
    case .full(let a):
      ckernels_pack_left(
        path, part, a.base + row * a.stride + column, a.stride, transposed, rows.count, block.count, units, left,
        rowStride(units: units))
    case .narrow(let a):
      ckernels_pack_left_bfloat16(
        path, (a.base + row * a.stride + column).bits, a.stride, transposed, rows.count, block.count, units, left,
        rowStride(units: units))
    }
  }
}
