/// A 64-byte aligned, uniquely allocated block of elements.
///
/// `@unchecked Sendable`: the memory is written only through `Tensor`, which copies the block first unless it holds the
/// only reference (the same rule that makes `Array` sendable), and freed once, in `deinit`.
final class TensorStorage<Element: TensorElement>: @unchecked Sendable {
  let elements: UnsafeMutableBufferPointer<Element>
  /// The first element's address; there is memory there even when `elements` is empty.
  let base: UnsafeMutablePointer<Element>

  /// Uninitialised memory for `count` elements.
  init(count: Int) {
    let bytes = Swift.max(count, 1) * MemoryLayout<Element>.stride
    let raw = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 64)
    base = raw.bindMemory(to: Element.self, capacity: count)
    elements = UnsafeMutableBufferPointer(start: base, count: count)
  }

  deinit {
    UnsafeMutableRawPointer(base).deallocate()
  }
}
