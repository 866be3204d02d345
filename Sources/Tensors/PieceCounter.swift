import Synchronization

/// Hands out 0, 1, 2 … to several threads, each number once.
final class PieceCounter: Sendable {
  private let next = Atomic<Int>(0)

  func take(below limit: Int) -> Int? {
    let piece = next.add(1, ordering: .relaxed).oldValue
    return piece < limit ? piece : nil
  }
}
