import CKernels

/// The right operand of products, k × n, as `PackedKernels` multiply it: made once by `Compute.pack` and used by many products, as
/// weights are between two updates. It goes beside the matrix it was made of, which libraries without packing multiply.
///
/// `@unchecked Sendable`: it is written by `Compute.pack` alone, whose pieces write different blocks of it, and which nobody calls while a
/// product reads it; and freed once, in `deinit`.
package final class PackedMatrix: @unchecked Sendable {
  /// k.
  package let depth: Int
  /// n.
  package let columns: Int
  let layout: PackedLayout
  private let parts: Int
  private let partUnits: Int
  private let memory: UnsafeMutablePointer<UInt32>

  /// Zeros; sizes are those of a matrix in memory.
  /// - Parameter parts: 1, or 2 with the low parts of numbers.
  init(depth: Int, columns: Int, layout: PackedLayout, parts: Int) {
    self.depth = depth
    self.columns = columns
    self.layout = layout
    self.parts = parts
    partUnits = layout.units(ofAllBlocks: depth) * layout.filledColumns(columns)
    let count = max(1, partUnits * parts)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: count * MemoryLayout<UInt32>.stride, alignment: 64)
    memory = raw.bindMemory(to: UInt32.self, capacity: count)
    memory.initialize(repeating: 0, count: count)
  }

  deinit {
    memory.deallocate()
  }

  /// Of memory.
  package var byteCount: Int { partUnits * parts * MemoryLayout<UInt32>.stride }

  /// Of such a matrix's memory; nil when the count overflows.
  static func byteCount(depth: Int, columns: Int, layout: PackedLayout, parts: Int) -> Int? {
    guard Shape.elementCount([depth, columns]) != nil, max(depth, columns) <= Int.max / 32 else { return nil }
    return Shape.byteCount([layout.units(ofAllBlocks: depth), layout.filledColumns(columns), parts], .int32)
  }

  func has(_ part: ckernels_number_part) -> Bool { part == CKERNELS_HIGH_PART || parts > 1 }

  /// The panels of a block of depth from `column` on, which begins one.
  func panels(
    _ part: ckernels_number_part, block: Range<Int>, column: Int
  ) -> UnsafeMutablePointer<UInt32> {
    // Blocks before this one are full, so that no unit of them is half empty.
    let before = layout.units(block.lowerBound) * layout.filledColumns(columns)
    return memory + (part == CKERNELS_LOW_PART ? partUnits : 0) + before + column * layout.units(block.count)
  }
}

extension Compute {
  /// Memory for a packed right operand, k × n, of what this object multiplies with; nil if that has no use for one.
  package func packedMatrix(depth: Int, columns: Int) -> PackedMatrix? {
    library.packedMatrix(depth: depth, columns: columns, precision)
  }

  /// Bytes of that memory, 0 where there is none; nil when the count overflows.
  package func packedBytes(depth: Int, columns: Int) -> Int? {
    library.packedBytes(depth: depth, columns: columns, precision)
  }

  /// Packs `b`, k × n, or n × k if it is `transposed`; the sizes must be `packed`'s.
  package func pack(_ b: MatrixView<Float>, transposed: Bool, into packed: PackedMatrix) {
    precondition(
      (transposed ? b.columns : b.rows) == packed.depth && (transposed ? b.rows : b.columns) == packed.columns,
      "\(b.rows)×\(b.columns) is not packed as \(packed.depth)×\(packed.columns)")
    let layout = packed.layout
    // About 256 kB of floats each.
    let width = max(1, 65536 / max(1, packed.depth) / PackedLayout.panelColumns) * PackedLayout.panelColumns
    workers.perform(pieces: (packed.columns + width - 1) / width) { piece in
      let columns = piece * width..<min(packed.columns, (piece + 1) * width)
      for number in 0..<layout.blocks(ofDepth: packed.depth) {
        let block = layout.block(number, ofDepth: packed.depth)
        for part in [CKERNELS_HIGH_PART, CKERNELS_LOW_PART] where packed.has(part) {
          layout.packRight(
            b, transposed: transposed, part, block: block, columns: columns,
            into: packed.panels(part, block: block, column: columns.lowerBound))
        }
      }
    }
  }
}

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
