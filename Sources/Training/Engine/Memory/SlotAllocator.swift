/// Gives matrices that are not needed at the same time the same memory, slot by slot.
///
/// A slot holds matrices of one shape. Plans that never run at the same time share one allocator, and so their slots.
struct SlotAllocator {
  struct Lifetime {
    let matrix: ModelMatrix
    let shape: MatrixShape
    /// Positions in a pass, from the first that touches the matrix to the last.
    var turns: ClosedRange<Int>
  }

  private(set) var shapes: [MatrixShape] = []

  /// A slot for each matrix, such that no two of one slot live at one turn.
  ///
  /// Of the free slots the one that was in use last is taken: its memory is still in a cache.
  mutating func assign(_ lifetimes: [Lifetime]) -> [ModelMatrix: Int] {
    var result: [ModelMatrix: Int] = [:]
    var lastTurn = [Int](repeating: -1, count: shapes.count)
    // Only slots of a lifetime's own shape are looked at: a model may have thousands of shapes.
    var slotsOfShape = Dictionary(grouping: shapes.indices) { shapes[$0] }
    for lifetime in lifetimes.sorted(by: { $0.turns.lowerBound < $1.turns.lowerBound }) {
      let free = slotsOfShape[lifetime.shape, default: []].filter { lastTurn[$0] < lifetime.turns.lowerBound }
      let slot: Int
      if let hottest = free.max(by: { lastTurn[$0] < lastTurn[$1] }) {
        slot = hottest
      } else {
        slot = shapes.count
        shapes.append(lifetime.shape)
        lastTurn.append(-1)
        slotsOfShape[lifetime.shape, default: []].append(slot)
      }
      lastTurn[slot] = lifetime.turns.upperBound
      result[lifetime.matrix] = slot
    }
    return result
  }
}
