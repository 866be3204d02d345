import Dispatch

/// Runs independent pieces of work on a bounded number of Dispatch threads.
///
/// Callers cut their work into pieces by the problem's size alone, never by `threads`; each piece then does the same
/// arithmetic whoever runs it, so results have the same bits for any number of threads.
package struct Workers: Sendable {
  /// 1 … the machine's cores (more is allowed and only shares them).
  package let threads: Int

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

  /// As `perform(pieces:_:)`, with something of its own for each thread: `make` is called once by every thread that takes
  /// part. What a piece leaves in it the next one finds, so a piece must not read what it has not written.
  package func perform<Scratch>(
    pieces: Int, scratch make: @Sendable () -> Scratch, _ body: @Sendable (Int, Scratch) -> Void
  ) {
    let width = min(threads, pieces)
    if width <= 1 {
      if pieces < 1 { return }
      let scratch = make()
      for piece in 0..<pieces { body(piece, scratch) }
      return
    }
    let next = PieceCounter()
    DispatchQueue.concurrentPerform(iterations: width) { _ in
      let scratch = make()
      while let piece = next.take(below: pieces) { body(piece, scratch) }
    }
  }
}
