/// Cuts a list of slots into stretches of consecutive ones, each of which is one read or write.
struct SlotRuns: Sequence, IteratorProtocol {
  struct Run: Equatable {
    /// Position in the list.
    let first: Int
    /// The slot at that position.
    let slot: Int
    let count: Int
  }

  private let slots: ArraySlice<Int>
  private var position: Int

  /// Positions are the slice's own indices.
  init(_ slots: ArraySlice<Int>) {
    self.slots = slots
    position = slots.startIndex
  }

  mutating func next() -> Run? {
    guard position < slots.endIndex else { return nil }
    let first = position
    let slot = slots[first]
    repeat { position += 1 } while position < slots.endIndex && slots[position] == slot + (position - first)
    return Run(first: first, slot: slot, count: position - first)
  }
}
