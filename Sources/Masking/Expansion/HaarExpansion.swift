internal import Cryptography
internal import Synchronization
internal import Numerics

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

  /// By the rules of `KeyExpansionRecord`: OpenBLAS, in full precision.
  private var compute: Compute { Compute(workers: workers, library: OpenBLAS(), precision: .full) }

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
      let panel = HouseholderPanel<Element>(columns: columns, of: width, compute, stream: stream)
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
        guard let base = part.baseAddress, let vectors = vectors.baseAddress, let triangle = triangle.baseAddress,
          let first = numbers.baseAddress
        else { return }
        let s = MatrixView(base, rows: rows, columns: length, stride: width)
        let v = MatrixView(reading: vectors, rows: count, columns: length)
        let projected = MatrixView(first, rows: rows, columns: count)
        let turned = MatrixView(first + rows * count, rows: rows, columns: count)
        compute.multiplyOnCallingThread(s, v, transposeB: true, into: projected)
        compute.multiplyOnCallingThread(
          projected, MatrixView(reading: triangle, rows: count, columns: count), transposeB: true, into: turned)
        compute.multiplyOnCallingThread(turned, v, alpha: -1, accumulates: true, into: s)
      }
    }
    withExtendedLifetime(scratch) {}
  }
}

/// A run of Householder reflections H_c = 1 − v vᵀ (‖v‖² = 2) as one block, H_c ⋯ H_{c+p−1} = 1 − V T Vᵀ.
///
/// The v of reflection c has zeros before coordinate c; the panel keeps coordinates from its first reflection on. Drawn
/// and inverted in Double, kept in `Element`.
struct HouseholderPanel<Element: FloatingElement>: Sendable {
  /// Coordinate of the first reflection.
  let start: Int
  /// Vᵀ, `[p, n − start]`, zeros before its diagonal.
  let vectors: SecretTensor<Element>
  /// T, `[p, p]`, upper triangular.
  let triangle: SecretTensor<Element>

  /// p.
  var count: Int { vectors.shape[0] }
  /// n − start.
  var length: Int { vectors.shape[1] }

  /// Draws the reflections that the QR of a Gaussian matrix would need for `columns`: what the earlier reflections leave of
  /// column c from its diagonal down is again Gaussian, of length n − c and independent of all before (Stewart, "The
  /// efficient generation of random orthogonal matrices", 1980, §3).
  ///
  /// - Parameter stream: the numbers of one column, so that a column does not depend on how they are cut into panels.
  init(columns: Range<Int>, of width: Int, _ compute: Compute, stream: (_ column: Int) -> KeyStream) {
    start = columns.lowerBound
    let (count, length) = (columns.count, width - columns.lowerBound)
    let drawn = SecretTensor<Double>(shape: [count, length]) { vectors in
      vectors.update(repeating: 0)
      for index in 0..<count {
        let tail = UnsafeMutableBufferPointer(rebasing: vectors[(index * length + index)..<((index + 1) * length)])
        stream(columns.lowerBound + index).fillGaussian(tail)
        Self.makeReflector(tail)
      }
    }
    vectors = drawn.converted()
    // From the rounded vectors, so that their rounding costs no orthogonality.
    triangle = Self.triangle(of: vectors.converted(), compute).converted()
  }

  /// The diagonal of the matrix that makes R's diagonal positive, without which Q would depend on the sign convention of
  /// the reflections and not be Haar (Mezzadri 2007, §5): reflection c maps x to −sign(x₀) ‖x‖ e₀, and v₀ has x₀'s sign.
  func sign(_ index: Int) -> Element {
    vectors.withUnsafeBufferPointer { $0[index * length + index] < 0 ? 1 : -1 }
  }

  /// Replaces x by the v of the reflection that maps x to a multiple of e₀: x + sign(x₀) ‖x‖ e₀, scaled to ‖v‖² = 2.
  private static func makeReflector(_ x: UnsafeMutableBufferPointer<Double>) {
    let squaredNorm = x.reduce(0) { $0 + $1 * $1 }
    guard squaredNorm > 0 else {
      // Only if every draw was exactly 0; any direction serves.
      x[0] = 2.squareRoot()
      return
    }
    let norm = squaredNorm.squareRoot()
    let first = x[0] + (x[0] < 0 ? -norm : norm)
    // ‖v‖² = ‖x‖² − x₀² + v₀² = 2 ‖x‖ |v₀|
    let scale = 1 / (norm * abs(first)).squareRoot()
    x[0] = first
    for index in x.indices { x[index] *= scale }
  }

  /// T⁻¹ + T⁻ᵀ = VᵀV makes 1 − V T Vᵀ orthogonal (Puglisi 1992): T⁻¹ is VᵀV above the diagonal and half of it on the diagonal.
  /// Inverted column by column.
  private static func triangle(of vectors: SecretTensor<Double>, _ compute: Compute) -> SecretTensor<Double> {
    let (count, length) = (vectors.shape[0], vectors.shape[1])
    let gram = SecretTensor<Double>(shape: [count, count]) { gram in
      vectors.withUnsafeBufferPointer { vectors in
        guard let vectors = vectors.baseAddress, let gram = gram.baseAddress else { return }
        let v = MatrixView(reading: vectors, rows: count, columns: length)
        compute.multiplyOnCallingThread(v, v, transposeB: true, into: MatrixView(gram, rows: count, columns: count))
      }
    }
    return SecretTensor(shape: [count, count]) { triangle in
      triangle.update(repeating: 0)
      gram.withUnsafeBufferPointer { gram in
        for column in 0..<count {
          let diagonal = 2 / gram[column * count + column]
          triangle[column * count + column] = diagonal
          for row in 0..<column {
            var sum = 0.0
            for inner in row..<column { sum += triangle[row * count + inner] * gram[inner * count + column] }
            triangle[row * count + column] = -diagonal * sum
          }
        }
      }
    }
  }
}
