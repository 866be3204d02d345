import Dispatch
import Foundation
import Synchronization

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

/// Hands out 0, 1, 2 … to several threads, each number once.
final class PieceCounter: Sendable {
  private let next = Atomic<Int>(0)

  func take(below limit: Int) -> Int? {
    let piece = next.add(1, ordering: .relaxed).oldValue
    return piece < limit ? piece : nil
  }
}

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

/// CPU time of one thread, which it starts and ends itself and others read.
package final class ThreadTime: Sendable {
  private let state = Mutex<(clock: clockid_t?, seconds: Double)>((nil, 0))

  package init() {}

  /// The calling thread's time counts from now on.
  package func start() {
    var clock = clockid_t()
    guard pthread_getcpuclockid(pthread_self(), &clock) == 0 else { return }
    state.withLock { $0.clock = clock }
  }

  /// On the same thread, which may end then.
  package func end() {
    state.withLock { state in
      state.seconds = Self.seconds(state)
      state.clock = nil
    }
  }

  /// Of the thread since it began; as they were at `end` after that.
  package var seconds: Double { state.withLock { Self.seconds($0) } }

  private static func seconds(_ state: (clock: clockid_t?, seconds: Double)) -> Double {
    var time = timespec()
    guard let clock = state.clock, clock_gettime(clock, &time) == 0 else { return state.seconds }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// CPU time from the operating system.
package enum ProcessorTime {
  /// User and system seconds of all threads so far.
  package static var ofThisProcess: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
      + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
  }
}
