/// A 64-byte aligned, uniquely allocated block of elements.
///
/// `@unchecked Sendable`: the memory is written only through `Tensor`, which copies the block first unless it holds the
/// only reference (the same rule that makes `Array` sendable), and freed once, in `deinit`.
final class TensorStorage<Element: TensorElement>: @unchecked Sendable {
  let elements: UnsafeMutableBufferPointer<Element>

  /// Uninitialised memory for `count` elements.
  init(count: Int) {
    let bytes = Swift.max(count, 1) * MemoryLayout<Element>.stride
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    elements = UnsafeMutableBufferPointer(start: raw.bindMemory(to: Element.self, capacity: count), count: count)
  }

  deinit {
    UnsafeMutableRawPointer(elements.baseAddress)?.deallocate()
  }
}
