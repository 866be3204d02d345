import Foundation
import Synchronization
import Testing

@testable import Numerics

/// Several threads that share one set of workers, as the jobs of a trainer do.
@Suite(.timeLimit(.minutes(2))) struct WorkersTests {
  /// Each calls as often as it likes; all end, and the bits are those of one that calls alone on one thread.
  @Test(arguments: [1, 2, 5]) func callersAtOnceChangeNoBit(_ threads: Int) {
    let callers = 4
    let alone = (0..<callers).map { Self.product(seed: $0, Compute(threads: 1)) }
    let compute = Compute(threads: threads)
    let results = Mutex<[Int: [[Float]]]>([:])
    DispatchQueue.concurrentPerform(iterations: callers) { caller in
      let products = (0..<20).map { _ in Self.product(seed: caller, compute) }
      results.withLock { $0[caller] = products }
    }
    for (caller, products) in results.withLock({ $0 }) { #expect(products.allSatisfy { $0 == alone[caller] }) }
    #expect(results.withLock { $0.count } == callers)
  }

  @Test func timeOfAThreadIsReadFromOthers() {
    let time = ThreadTime()
    #expect(time.seconds == 0)
    let (hasWorked, mayEnd, hasEnded) = (
      DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)
    )
    Thread {
      time.start()
      let start = ProcessorTime.ofThisProcess
      while ProcessorTime.ofThisProcess - start < 0.05 {}
      hasWorked.signal()
      mayEnd.wait()
      time.end()
      hasEnded.signal()
    }.start()
    hasWorked.wait()
    let seconds = time.seconds
    #expect(seconds > 0)
    mayEnd.signal()
    hasEnded.wait()
    // As it was then, also when the thread is gone.
    #expect(time.seconds >= seconds && time.seconds < seconds + 1)
  }

  private static func matrix(rows: Int, columns: Int, seed: Int) -> MatrixBuffer<Float> {
    let buffer = MatrixBuffer<Float>(rows: rows, columns: columns)
    for index in 0..<buffer.count { buffer.elements[index] = Float((index * 7919 + seed * 104_729) % 1000) / 997 - 0.5 }
    return buffer
  }

  /// a aᵀ.
  private static func product(seed: Int, _ compute: Compute) -> [Float] {
    let a = matrix(rows: 96, columns: 640, seed: seed)
    let c = MatrixBuffer<Float>(rows: a.rows, columns: a.rows)
    compute.multiply(a.view, a.view, transposeB: true, into: c.view)
    return Array(c.elements)
  }
}
