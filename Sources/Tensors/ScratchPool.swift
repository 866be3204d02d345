import Synchronization

/// Blocks of memory that threads borrow for a piece of work and give back: fresh memory for every call would be paged in anew
/// each time, which takes longer than some of the work itself.
final class ScratchPool: Sendable {
  /// 64-byte aligned memory; whoever holds the value is its only user.
  ///
  /// `@unchecked Sendable`: it is handed from one user to the next through the pool's lock.
  private struct Block: @unchecked Sendable {
    let memory: UnsafeMutableRawPointer
    let byteCount: Int
  }

  private let free = Mutex<[Block]>([])

  deinit {
    free.withLock { blocks in
      for block in blocks { block.memory.deallocate() }
    }
  }

  /// Calls `body` with memory of unspecified contents for `count` elements.
  func withMemory<Element: TensorElement>(
    _ count: Int, of _: Element.Type, _ body: (UnsafeMutablePointer<Element>) -> Void
  ) {
    let block = borrow(max(1, count) * MemoryLayout<Element>.stride)
    body(block.memory.bindMemory(to: Element.self, capacity: max(1, count)))
    free.withLock { $0.append(block) }
  }

  /// The last block given back if it is large enough; one that is not is replaced, so that there never are more blocks than
  /// threads had at once.
  private func borrow(_ byteCount: Int) -> Block {
    if let block = free.withLock({ $0.popLast() }) {
      if block.byteCount >= byteCount { return block }
      block.memory.deallocate()
    }
    return Block(memory: .allocate(byteCount: byteCount, alignment: 64), byteCount: byteCount)
  }
}
