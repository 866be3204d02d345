import CKernels

/// The right operand of products, k × n, as `PackedKernels` multiply it: made once by `Compute.pack` and used by many products, as
/// weights are between two updates. It goes beside the matrix it was made of, which libraries without packing multiply.
///
/// `@unchecked Sendable`: it is written by `Compute.pack` alone, whose pieces write different blocks of it, and which nobody calls while a
/// product reads it.
package final class PackedMatrix: @unchecked Sendable {
  /// k.
  package let depth: Int
  /// n.
  package let columns: Int
  let form: PackedForm
  private let partUnits: Int
  private let units: PackedUnits
  private let memory: UnsafeMutablePointer<UInt32>

  var layout: PackedLayout { form.layout }

  /// Sizes are those of a matrix in memory.
  /// - Parameter units: memory, which nothing else may be in while this matrix is in use; of its own where none is given.
  package init(depth: Int, columns: Int, _ form: PackedForm, in units: PackedUnits = PackedUnits()) {
    self.depth = depth
    self.columns = columns
    self.form = form
    self.units = units
    partUnits = form.layout.units(ofAllBlocks: depth) * form.layout.filledColumns(columns)
    memory = units.reserve(partUnits * form.parts)
  }

  /// Of memory.
  package var byteCount: Int { partUnits * form.parts * MemoryLayout<UInt32>.stride }

  func has(_ part: ckernels_number_part) -> Bool { form.has(part) }

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
    library.packedForm(precision).map { PackedMatrix(depth: depth, columns: columns, $0) }
  }

  /// Bytes of that memory, 0 where there is none; nil when the count overflows.
  package func packedBytes(depth: Int, columns: Int) -> Int? {
    guard let form = library.packedForm(precision) else { return 0 }
    return form.matrixBytes(depth: depth, columns: columns)
  }

  /// Packs `b`, k × n, or n × k if it is `transposed`; the sizes must be `packed`'s.
  package func pack(_ b: MatrixView<Float>, transposed: Bool, into packed: PackedMatrix) {
    pack(.full(b), transposed: transposed, into: packed)
  }

  /// The same of a matrix in either format. Of bfloat16 numbers there are high parts alone: their product with low ones must not be asked for.
  package func pack(_ b: StoredMatrix<Float>, transposed: Bool, into packed: PackedMatrix) {
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
