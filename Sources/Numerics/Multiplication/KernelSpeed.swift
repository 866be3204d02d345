import CKernels

/// What one core reaches on a path, in operations per second, each multiply-add two; of several measurements the fastest, because
/// whatever disturbs one makes it slower.
package struct KernelSpeed: Sendable {
  /// On registers alone: the most that any product can reach.
  package let peak: Double
  /// On packed operands in cache.
  package let packed: Double

  package var share: Double { peak > 0 ? packed / peak : 0 }

  /// Takes about 50 ms, on the calling thread. Nil where this processor lacks the instructions, and of the portable path, which has no
  /// peak of its own.
  package static func measure(_ path: KernelPath) -> KernelSpeed? {
    guard path.isAvailable, path != .portable else { return nil }
    let peak = best(repeating: 5) { ckernels_product_peak(path.instructions, 50_000) }
    return KernelSpeed(peak: peak, packed: packed(path))
  }

  /// 96 × 128 × 384: 80 kB on the left and 98 kB on the right as pairs, twice that as floats.
  private static func packed(_ path: KernelPath) -> Double {
    let layout = PackedLayout(path.instructions)
    let (rows, columns, depth, calls) = (96, 128, 384, 20)
    let units = layout.units(depth)
    let stride = layout.rowStride(units: units)
    let (left, right) = (
      MatrixBuffer<Int32>(rows: rows, columns: stride), MatrixBuffer<Int32>(rows: columns, columns: units)
    )
    let c = MatrixBuffer<Float>(rows: rows, columns: columns)
    // Zeros take as long as other numbers. A unit is as large as a tensor's integer.
    let (a, b) = (units32(left), units32(right))
    return best(repeating: 20) {
      for _ in 0..<calls {
        ckernels_multiply_packed(
          layout.path, rows, columns, units, a, stride, b, 1, c.view.base, columns, false)
      }
      return Double(2 * rows * columns * depth * calls)
    }
  }

  private static func units32(_ buffer: MatrixBuffer<Int32>) -> UnsafePointer<UInt32> {
    UnsafePointer(UnsafeMutableRawPointer(buffer.view.base).assumingMemoryBound(to: UInt32.self))
  }

  /// - Parameter work: returns its operations.
  private static func best(repeating count: Int, _ work: () -> Double) -> Double {
    _ = work()
    return (0..<count).reduce(0) { best, _ in
      var operations = 0.0
      let time = ContinuousClock().measure { operations = work() }
      return max(best, operations / (time / .seconds(1)))
    }
  }
}
