import CKernels

/// How a library packs operands for products of one precision.
package struct PackedForm: Sendable, Hashable {
  let layout: PackedLayout
  /// 1, or 2 with the low parts of numbers.
  let parts: Int

  func has(_ part: ckernels_number_part) -> Bool { part == CKERNELS_HIGH_PART || parts > 1 }

  /// Bytes of a packed right operand, depth × columns; nil when the count overflows.
  package func matrixBytes(depth: Int, columns: Int) -> Int? {
    guard fits(depth, columns) else { return nil }
    return Shape.byteCount([layout.units(ofAllBlocks: depth), layout.filledColumns(columns), parts], .int32)
  }

  /// Bytes of a packed left operand, rows × depth; nil when the count overflows.
  package func rowsBytes(rows: Int, depth: Int) -> Int? {
    guard fits(rows, depth) else { return nil }
    return Shape.byteCount([layout.rowUnits(ofAllBlocks: depth), layout.sharedRows(rows), parts], .int32)
  }

  private func fits(_ one: Int, _ other: Int) -> Bool {
    Shape.elementCount([one, other]) != nil && max(one, other) <= Int.max / 32
  }
}

/// Memory for packed operands, which grows to the largest that is asked for.
///
/// `@unchecked Sendable`: whoever asks for room knows that nobody uses what was there before; the memory is freed once.
package final class PackedUnits: @unchecked Sendable {
  private var memory: UnsafeMutablePointer<UInt32>?
  private var capacity = 0

  package init() {}

  deinit {
    memory?.deallocate()
  }

  /// Room for bytes of operands that are packed later.
  package func reserve(bytes: Int) {
    _ = reserve((bytes + MemoryLayout<UInt32>.stride - 1) / MemoryLayout<UInt32>.stride)
  }

  /// Room for so many units, on a cache line; contents are lost where it grows.
  func reserve(_ count: Int) -> UnsafeMutablePointer<UInt32> {
    if let memory, capacity >= count { return memory }
    // The old memory goes first.
    memory?.deallocate()
    capacity = max(1, count)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: capacity * MemoryLayout<UInt32>.stride, alignment: 64)
    let units = raw.bindMemory(to: UInt32.self, capacity: capacity)
    // What a kernel reads beyond the last row must not be signalling numbers.
    units.initialize(repeating: 0, count: capacity)
    memory = units
    return units
  }
}
