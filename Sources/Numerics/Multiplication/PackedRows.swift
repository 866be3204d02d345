import CKernels

/// The left operand of products, m × k, as `PackedKernels` multiply it: made once by `Compute.pack` and used by all products that read the matrix,
/// whatever tiles they are cut into. It goes beside the matrix that it was made of, which libraries without packing multiply.
///
/// `@unchecked Sendable`: it is written by `Compute.pack` alone, whose pieces write different rows of it, and which nobody calls while a product
/// reads it.
package final class PackedRows: @unchecked Sendable {
  /// m.
  package let rows: Int
  /// k.
  package let depth: Int
  let form: PackedForm
  private let units: PackedUnits
  private let memory: UnsafeMutablePointer<UInt32>
  private let partUnits: Int

  /// Sizes are those of a matrix in memory.
  /// - Parameter units: memory, which nothing else may be in while these rows are in use; of its own where none is given.
  package init(rows: Int, depth: Int, _ form: PackedForm, in units: PackedUnits = PackedUnits()) {
    self.rows = rows
    self.depth = depth
    self.form = form
    self.units = units
    partUnits = form.layout.rowUnits(ofAllBlocks: depth) * form.layout.sharedRows(rows)
    memory = units.reserve(partUnits * form.parts)
  }

  /// The rows of block `number` of the depth from `row` on, `PackedLayout.rowStride` apart.
  func rows(_ part: ckernels_number_part, block number: Int, from row: Int) -> UnsafeMutablePointer<UInt32> {
    let layout = form.layout
    // All blocks but the last are as long as the first.
    let before = number * layout.rowStride(units: layout.units(layout.block(0, ofDepth: depth).count))
    let stride = layout.rowStride(units: layout.units(layout.block(number, ofDepth: depth).count))
    return memory + (part == CKERNELS_LOW_PART ? partUnits : 0) + before * layout.sharedRows(rows) + row * stride
  }
}

extension PackedLayout {
  /// Units of memory for one row of a left operand, all blocks of a depth together.
  func rowUnits(ofAllBlocks depth: Int) -> Int {
    let last = blocks(ofDepth: depth) - 1
    if last < 0 { return 0 }
    return last * rowStride(units: units(block(0, ofDepth: depth).count))
      + rowStride(units: units(block(last, ofDepth: depth).count))
  }

  /// Rows of memory for a left operand that is read from any row on: a kernel goes on to a multiple of its rows.
  func sharedRows(_ rows: Int) -> Int { rows + rowMultiple }
}

extension Compute {
  /// How this object's products have their operands packed; nil if it has no use for packed ones.
  package var packedForm: PackedForm? { library.packedForm(precision) }

  /// Packs `a`, m × k; the sizes must be `packed`'s. Of bfloat16 numbers there are high parts alone.
  package func pack(_ a: StoredMatrix<Float>, into packed: PackedRows) {
    precondition(
      a.rows == packed.rows && a.columns == packed.depth,
      "\(a.rows)×\(a.columns) is not packed as \(packed.rows)×\(packed.depth)")
    let layout = packed.form.layout
    workers.performOverRows(a) { rows in
      for number in 0..<layout.blocks(ofDepth: packed.depth) {
        for part in [CKERNELS_HIGH_PART, CKERNELS_LOW_PART] where packed.form.has(part) {
          layout.packLeft(
            a, transposed: false, part, block: layout.block(number, ofDepth: packed.depth), rows: rows,
            into: packed.rows(part, block: number, from: rows.lowerBound))
        }
      }
    }
  }
}
