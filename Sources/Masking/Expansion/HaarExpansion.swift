internal import Cryptography
internal import Synchronization
internal import Tensors

/// Draws a Haar-distributed orthogonal K: the Q of a Gaussian matrix's QR with R's diagonal made positive, without forming
/// the Gaussian matrix (Stewart 1980; Mezzadri, "How to generate random matrices from the classical compact groups",
/// 2007, §5).
///
/// K = H_0 H_1 ⋯ H_{n−1} D costs 4/3 n³ operations in blocks of reflections. Kᵀ is what is built: each row of it,
/// D_i e_iᵀ at first, is multiplied by the blocks from its own back to the first, and needs no other row. So tiles of rows
/// go to different threads without waiting for one another, and with the tiles fixed, so are the bits.
///
/// Computed in the job's format. In Float, ‖KᵀK − 1‖_F/√n is 7e-7 and ‖KᵀK − 1‖₂ 2e-6 (measured, n = 769 and 2050): every weight
/// that reads the space is off by that share at the start, and every gradient, which is the rounding of one masked row
/// and 1/140 of the 1e-4 that replays are held to. Double, rounded at the end, has 4e-8 and takes 1.8 times as long.
struct HaarExpansion<Element: FloatingElement> {
  /// Reflections in a block: fewer make the GEMMs thin, more waste work on the zeros beside the diagonal.
  private static var panelWidth: Int { 64 }
  /// A multiple of `panelWidth`, so that a tile starts where a panel does.
  private static var tileRows: Int { 128 }

  let width: Int
  let workers: Workers

  /// Kᵀ, `[n, n]`.
  ///
  /// - Parameter stream: the numbers of one column of the Gaussian matrix.
  func transposedKey(stream: @escaping @Sendable (_ column: Int) -> KeyStream) -> SecretTensor<Element> {
    let panels = drawPanels(stream)
    let width = width
    return SecretTensor(shape: [width, width]) { key in
      // Safe to share: every piece writes rows of its own.
      nonisolated(unsafe) let key = key
      let tiles = (width + Self.tileRows - 1) / Self.tileRows
      workers.perform(pieces: tiles) { piece in
        // Later rows take longer, so they go first.
        let start = (tiles - 1 - piece) * Self.tileRows
        let rows = start..<min(width, start + Self.tileRows)
        let tile = UnsafeMutableBufferPointer(rebasing: key[rows.lowerBound * width..<rows.upperBound * width])
        reflect(tile, rows: rows, panels)
      }
    }
  }

  private func drawPanels(_ stream: @escaping @Sendable (Int) -> KeyStream) -> [HouseholderPanel<Element>] {
    let width = width
    let count = (width + Self.panelWidth - 1) / Self.panelWidth
    let drawn = Mutex([HouseholderPanel<Element>?](repeating: nil, count: count))
    workers.perform(pieces: count) { piece in
      let start = piece * Self.panelWidth
      let columns = start..<min(width, start + Self.panelWidth)
      let panel = HouseholderPanel<Element>(columns: columns, of: width, stream: stream)
      drawn.withLock { $0[piece] = panel }
    }
    return drawn.withLock { $0.compactMap(\.self) }
  }

  /// Some rows of Kᵀ = D H_{n−1} ⋯ H_0, `[rows, n]`.
  private func reflect(
    _ tile: UnsafeMutableBufferPointer<Element>, rows: Range<Int>, _ panels: [HouseholderPanel<Element>]
  ) {
    tile.update(repeating: 0)
    for row in rows {
      let sign = panels[row / Self.panelWidth].sign(row % Self.panelWidth)
      tile[(row - rows.lowerBound) * width + row] = sign
    }
    let last = (rows.upperBound - 1) / Self.panelWidth
    for panel in panels[...last].reversed() {
      // A row before the panel's first coordinate is zero where the panel's vectors are not.
      let first = max(rows.lowerBound, panel.start)
      let part = UnsafeMutableBufferPointer(rebasing: tile[((first - rows.lowerBound) * width + panel.start)...])
      apply(panel, to: part, rows: rows.upperBound - first)
    }
  }

  /// S ← S (1 − V Tᵀ Vᵀ) for rows of `n − start` numbers at distance n.
  private func apply(_ panel: HouseholderPanel<Element>, to part: UnsafeMutableBufferPointer<Element>, rows: Int) {
    let (count, length) = (panel.count, panel.length)
    let scratch = SecretBuffer(byteCount: 2 * rows * count * MemoryLayout<Element>.stride)
    let numbers = scratch.bytes.bindMemory(to: Element.self)
    panel.vectors.withUnsafeBufferPointer { vectors in
      panel.triangle.withUnsafeBufferPointer { triangle in
        guard let s = part.baseAddress, let v = vectors.baseAddress, let t = triangle.baseAddress,
          let projected = numbers.baseAddress
        else { return }
        let turned = projected + rows * count
        Element.multiply(
          transposeA: false, transposeB: true, m: rows, n: count, k: length, alpha: 1, a: s, leadingA: width, b: v,
          leadingB: length, beta: 0, c: projected, leadingC: count)
        Element.multiply(
          transposeA: false, transposeB: true, m: rows, n: count, k: count, alpha: 1, a: projected, leadingA: count,
          b: t, leadingB: count, beta: 0, c: turned, leadingC: count)
        Element.multiply(
          transposeA: false, transposeB: false, m: rows, n: length, k: count, alpha: -1, a: turned, leadingA: count,
          b: v, leadingB: length, beta: 1, c: s, leadingC: width)
      }
    }
    withExtendedLifetime(scratch) {}
  }
}
