import CKernels

/// How a path cuts products and lays packed operands out: a function of sizes and path alone, so that bits are too.
struct PackedLayout: Sendable, Hashable {
  /// Columns of a panel of the right operand.
  static let panelColumns = Int(CKERNELS_PANEL_COLUMNS)
  /// A block of packed left rows: with the panels that pass by it fits a core's second cache.
  private static let leftBytes = 192 * 1024
  /// Rows of the left operand are kept apart by a cache line, so that they do not fall on each other's place in the cache.
  private static let unitsBetweenRows = 16

  let path: ckernels_product_path
  private let unitDepth: Int
  private let unitMultiple: Int
  private let longestDepth: Int
  /// Rows that a kernel computes together.
  let rowMultiple: Int

  init(_ path: ckernels_product_path) {
    self.path = path
    let layout = ckernels_product_layout_of(path)
    unitDepth = layout.unit_depth
    unitMultiple = layout.unit_multiple
    longestDepth = layout.longest_depth
    rowMultiple = layout.row_multiple
  }

  static func == (left: PackedLayout, right: PackedLayout) -> Bool { left.path == right.path }

  func hash(into hasher: inout Hasher) {
    hasher.combine(path.rawValue)
  }

  /// Blocks that a product of this depth is summed in, one after the other.
  func blocks(ofDepth depth: Int) -> Int { depth / longestDepth + (depth % longestDepth == 0 ? 0 : 1) }

  /// Block `number`; all but the last are equally long, in whole cache lines of units.
  func block(_ number: Int, ofDepth depth: Int) -> Range<Int> {
    let count = blocks(ofDepth: depth)
    let unit = unitDepth * 16
    let length = ((depth + count - 1) / count + unit - 1) / unit * unit
    return min(depth, number * length)..<min(depth, (number + 1) * length)
  }

  /// Units along so much depth.
  func units(_ depth: Int) -> Int {
    let units = (depth + unitDepth - 1) / unitDepth
    return (units + unitMultiple - 1) / unitMultiple * unitMultiple
  }

  /// Units of all blocks of a depth together.
  func units(ofAllBlocks depth: Int) -> Int {
    let last = blocks(ofDepth: depth) - 1
    return last < 0 ? 0 : last * units(block(0, ofDepth: depth).count) + units(block(last, ofDepth: depth).count)
  }

  /// Columns with those that fill the last panel.
  func filledColumns(_ columns: Int) -> Int {
    (columns + Self.panelColumns - 1) / Self.panelColumns * Self.panelColumns
  }

  /// From a row of the packed left operand to the next, in units.
  func rowStride(units: Int) -> Int { (units + 15) / 16 * 16 + Self.unitsBetweenRows }

  /// Rows of the left operand that are packed at once.
  func rows(units: Int) -> Int {
    let rows = Self.leftBytes / (rowStride(units: units) * MemoryLayout<UInt32>.stride)
    return max(4 * rowMultiple, rows / rowMultiple * rowMultiple)
  }

  /// Units of memory for a block of `rows` rows, with those that the kernel reads beyond the last.
  func leftUnits(rows: Int, units: Int) -> Int {
    (rows + rowMultiple - 1) / rowMultiple * rowMultiple * rowStride(units: units)
  }
}

/// Which parts of both operands' numbers are multiplied, in order.
struct PackedParts: Sendable {
  let left: ckernels_number_part
  let right: ckernels_number_part

  /// Of each precision that is computed by packed kernels.
  static func all(_ precision: ProductPrecision) -> [PackedParts] {
    let high = PackedParts(left: CKERNELS_HIGH_PART, right: CKERNELS_HIGH_PART)
    switch precision {
    case .full, .bfloat16: return [high]
    // The product of the low parts is below what a float of the sum can hold.
    case .bfloat16x3:
      return [
        high, PackedParts(left: CKERNELS_HIGH_PART, right: CKERNELS_LOW_PART),
        PackedParts(left: CKERNELS_LOW_PART, right: CKERNELS_HIGH_PART),
      ]
    }
  }
}
