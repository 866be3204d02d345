/// How one multiplication's result is cut into tiles, one BLAS call each.
///
/// A function of the sizes alone, so that a result's bits never depend on how many threads share the tiles. A tile costs
/// BLAS one packing of its rows of A and its columns of B, so large tiles waste less and small ones spread further.
struct TilePartition {
  /// Measured on one AVX-512 core (OpenBLAS 0.3.21, 1024 × 2048 × 2048, share of one whole call's speed): 512 × 1024
  /// 0.97, 512 × 512 0.94, 256 × 512 0.88, 128 × 512 0.75. Edges may exceed these by half before they are cut.
  private static let usualRows = 512
  private static let usualColumns = 1024
  /// Small products are cut into up to 4 tiles of at least this many multiply-adds (about 80 µs of one core), so that
  /// handing a tile to another thread costs little beside it; large ones into at least 8, for more than a few cores.
  private static let smallWork = 1 << 22
  private static let largeWork = 1 << 26
  /// Tile edges are multiples of this, the row count of the widest register block.
  private static let edgeUnit = 16

  let rows: Int
  let columns: Int
  private let tileRows: Int
  private let tileColumns: Int
  private let tilesAcross: Int
  let count: Int

  init(m: Int, n: Int, k: Int) {
    rows = m
    columns = n
    let work = m.multipliedReportingOverflow(by: n).partialValue.multipliedReportingOverflow(by: max(1, k))
    let wanted =
      work.overflow ? 8 : max(min(4, work.partialValue / Self.smallWork), min(8, work.partialValue / Self.largeWork))
    var down = Self.pieces(m, of: Self.usualRows)
    var across = Self.pieces(n, of: Self.usualColumns)
    // Cut the longer edge of a tile until there are enough tiles.
    while down * across < wanted {
      let height = m / down
      let width = n / across
      if max(height, width) < 2 * Self.edgeUnit { break }
      if width >= height { across *= 2 } else { down *= 2 }
    }
    tileRows = Self.edge(m, pieces: down)
    tileColumns = Self.edge(n, pieces: across)
    tilesAcross = (n + tileColumns - 1) / tileColumns
    count = (m + tileRows - 1) / tileRows * tilesAcross
  }

  /// The rectangle of C that tile `index` covers.
  func tile(_ index: Int) -> (rows: Range<Int>, columns: Range<Int>) {
    let firstRow = index / tilesAcross * tileRows
    let firstColumn = index % tilesAcross * tileColumns
    return (firstRow..<min(rows, firstRow + tileRows), firstColumn..<min(columns, firstColumn + tileColumns))
  }

  /// About `size / usual`, rounded to the nearest.
  private static func pieces(_ size: Int, of usual: Int) -> Int {
    max(1, size / usual + (size % usual >= usual / 2 ? 1 : 0))
  }

  private static func edge(_ size: Int, pieces: Int) -> Int {
    let even = max(1, (size + pieces - 1) / pieces)
    return (even + edgeUnit - 1) / edgeUnit * edgeUnit
  }
}
