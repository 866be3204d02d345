import Dispatch

/// Runs independent pieces of work on a bounded number of Dispatch threads.
///
/// Callers cut their work into pieces by the problem's size alone, never by `threads`; each piece then does the same
/// arithmetic whoever runs it, so results have the same bits for any number of threads.
package struct Workers: Sendable {
  /// 1 … the machine's cores (more is allowed and only shares them).
  package let threads: Int
  private let scratch = ScratchPool()

  package init(threads: Int) {
    self.threads = max(1, threads)
  }

  /// Calls `body(0) … body(pieces - 1)`, each once, in any order, and returns when all are done.
  package func perform(pieces: Int, _ body: @Sendable (Int) -> Void) {
    let width = min(threads, pieces)
    if width <= 1 {
      for piece in 0..<max(pieces, 0) { body(piece) }
      return
    }
    let next = PieceCounter()
    DispatchQueue.concurrentPerform(iterations: width) { _ in
      while let piece = next.take(below: pieces) { body(piece) }
    }
  }

  /// As `perform(pieces:_:)`, with memory for `count` elements that the thread at work has to itself. What it holds at the start of
  /// a piece is unspecified.
  package func perform<Element: TensorElement>(
    pieces: Int, scratch count: Int, of type: Element.Type,
    _ body: @Sendable (Int, UnsafeMutablePointer<Element>) -> Void
  ) {
    let width = min(threads, pieces)
    if width <= 1 {
      if pieces < 1 { return }
      scratch.withMemory(count, of: type) { memory in
        for piece in 0..<pieces { body(piece, memory) }
      }
      return
    }
    let next = PieceCounter()
    DispatchQueue.concurrentPerform(iterations: width) { _ in
      scratch.withMemory(count, of: type) { memory in
        while let piece = next.take(below: pieces) { body(piece, memory) }
      }
    }
  }
}
