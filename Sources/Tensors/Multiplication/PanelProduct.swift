import CKernels

/// One large single-precision product by the project's own kernel for AVX-512 (`panel_products.h`).
///
/// Measured on one Zen 4 core (peak 118 GF/s) with the sizes of a MiniLM block, 1024 rows: 102 to 111 GF/s, where whole calls of
/// OpenBLAS 0.3.21 run at 95 to 101 and its tiles at 88 to 95.
struct PanelProduct {
  /// Columns of op(A) that are multiplied before the next: a strip of A of that depth fits the nearest cache, a tile's panels of B
  /// the second.
  private static let mostDepth = 384
  /// Rows between two calls of `then`: nine strips, which with a tile's columns are still in cache.
  private static let rowsAChunk = 9 * stripRows
  private static let stripRows = Int(CKERNELS_STRIP_ROWS)
  private static let panelColumns = Int(CKERNELS_PANEL_COLUMNS)
  /// Below these OpenBLAS's small kernels, or its own packing, cost less.
  private static let fewestRows = 48
  private static let fewestColumns = 32
  private static let leastWork = 1 << 20
  /// Above this a product on the calling thread is not one of attention's.
  private static let mostSmallWork = 1 << 23

  /// Elements of 4 kB.
  private static let collidingStride = 1024

  /// Whether this processor runs it.
  static let isAvailable = ckernels_has_panel_products()

  let partition: TilePartition
  private let k: Int
  private let depth: Int
  private let transposeA: Bool
  private let transposeB: Bool

  /// Nil where BLAS is to do it: another format, another processor, a small product.
  init?(_ type: Any.Type, m: Int, n: Int, k: Int, transposeA: Bool, transposeB: Bool) {
    guard type == Float.self, Self.isAvailable, m >= Self.fewestRows, n >= Self.fewestColumns, k >= 16,
      m * n >= Self.leastWork / k
    else { return nil }
    self.k = k
    self.transposeA = transposeA
    self.transposeB = transposeB
    // Even parts, of whole vectors.
    let parts = (k + Self.mostDepth - 1) / Self.mostDepth
    depth = ((k + parts - 1) / parts + 15) / 16 * 16
    // B is packed for each tile, and A too where it is transposed: tall tiles in the one case, square ones in the other.
    partition = TilePartition(
      m: m, n: n, k: k, usualRows: transposeA ? 384 : 1024, usualColumns: transposeA ? 384 : 192,
      rowUnit: Self.stripRows, columnUnit: Self.panelColumns)
  }

  func run(
    _ a: MatrixView<Float>, _ b: MatrixView<Float>, alpha: Float, accumulates: Bool, into c: MatrixView<Float>,
    workers: Workers, then: (@Sendable (_ tile: Int, _ rows: Range<Int>, _ columns: Range<Int>) -> Void)?
  ) {
    let largest = partition.tile(0)
    let panelElements =
      (largest.columns.count + Self.panelColumns - 1) / Self.panelColumns * Self.panelColumns * depth
    // Rows of A that lie a multiple of 4 kB apart share a place in the nearest cache, which has room for eight of a strip's
    // fourteen: they are copied to where they do not.
    let copiesRows = !transposeA && a.stride % Self.collidingStride == 0
    let copyStride = depth + 16
    let stripElements =
      transposeA
      ? Self.rowsAChunk / Self.stripRows * Int(CKERNELS_STRIP_STEP) * depth
      : copiesRows ? Self.rowsAChunk * copyStride : 0
    workers.perform(pieces: partition.count, scratch: panelElements + stripElements, of: Float.self) { index, memory in
      let tile = partition.tile(index)
      let (panels, strips) = (memory, memory + panelElements)
      for first in stride(from: 0, to: k, by: depth) {
        let depth = min(depth, k - first)
        ckernels_pack_panels(
          transposeB, depth, tile.columns.count,
          transposeB
            ? b.base + tile.columns.lowerBound * b.stride + first : b.base + first * b.stride + tile.columns.lowerBound,
          b.stride, panels)
        for start in stride(from: tile.rows.lowerBound, to: tile.rows.upperBound, by: Self.rowsAChunk) {
          let rows = start..<min(tile.rows.upperBound, start + Self.rowsAChunk)
          let target = c.base + start * c.stride + tile.columns.lowerBound
          if transposeA {
            ckernels_pack_strips(depth, rows.count, a.base + first * a.stride + start, a.stride, strips)
            ckernels_multiply_strips(
              rows.count, tile.columns.count, depth, alpha, strips, panels, accumulates || first > 0, target, c.stride)
          } else if copiesRows {
            for row in rows {
              (strips + (row - start) * copyStride).update(from: a.base + row * a.stride + first, count: depth)
            }
            ckernels_multiply_rows(
              rows.count, tile.columns.count, depth, alpha, strips, copyStride, 0, panels, accumulates || first > 0,
              target,
              c.stride)
          } else {
            ckernels_multiply_rows(
              rows.count, tile.columns.count, depth, alpha, a.base + start * a.stride + first, a.stride,
              tile.rows.upperBound - rows.upperBound, panels, accumulates || first > 0, target, c.stride)
          }
          if first + depth == k { then?(index, rows, tile.columns) }
        }
      }
    }
  }

  // MARK: - Small products on the calling thread

  /// Whether A Bᵀ of this size is faster here than by OpenBLAS, which packs both factors of it: attention scores, 128 × 128 of
  /// depth 32, run at 101 GF/s here and at 85 there. Of the other orders it has kernels that pack nothing.
  static func suits(rows: Int, columns: Int, depth: Int) -> Bool {
    isAvailable && rows >= 2 * stripRows && columns >= panelColumns && depth >= 8 && depth <= mostDepth
      && columns <= mostSmallWork / rows / depth
  }

  /// C (m × n) = alpha · A Bᵀ, added to C if `accumulates`.
  static func multiplyRows(
    m: Int, n: Int, k: Int, alpha: Float, a: UnsafePointer<Float>, leadingA: Int, b: UnsafePointer<Float>,
    leadingB: Int, accumulates: Bool, c: UnsafeMutablePointer<Float>, leadingC: Int
  ) {
    let padded = (n + panelColumns - 1) / panelColumns * panelColumns
    withUnsafeTemporaryAllocation(byteCount: padded * k * MemoryLayout<Float>.stride, alignment: 64) { memory in
      guard let panels = memory.baseAddress?.bindMemory(to: Float.self, capacity: padded * k) else { return }
      ckernels_pack_panels(true, k, n, b, leadingB, panels)
      ckernels_multiply_rows(m, n, k, alpha, a, leadingA, 0, panels, accumulates, c, leadingC)
    }
  }
}
