/// How one multiplication's result is cut into tiles, one BLAS call each.
///
/// A function of the sizes alone, so that a result's bits never depend on how many threads share the tiles. A tile costs
/// BLAS one packing of its rows of A and its columns of B, so large tiles waste less and small ones spread further.
struct TilePartition {
  /// Measured on one AVX-512 core (OpenBLAS 0.3.21, 1024 × 2048 × 2048, share of one whole call's speed): 512 × 1024
  /// 0.97, 512 × 512 0.94, 256 × 512 0.88, 128 × 512 0.75.
  private static let largestRows = 512
  private static let largestColumns = 512
  /// Below this many multiply-adds handing a tile to another thread costs more than it saves (about 50 µs of work).
  private static let smallestWork = 1 << 21
  /// Tiles that a multiplication is cut into when its work allows, so that a few threads can share small ones.
  private static let wantedTiles = 4
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
    let affordable = work.overflow ? Int.max : max(1, work.partialValue / Self.smallestWork)
    var down = Self.pieces(m, atMost: Self.largestRows)
    var across = Self.pieces(n, atMost: Self.largestColumns)
    // Cut the longer edge of a tile until there are enough tiles.
    while down * across < min(Self.wantedTiles, affordable) {
      let height = m / down
      let width = n / across
      if max(height, width) < 2 * Self.edgeUnit { break }
      if width >= height { across *= 2 } else { down *= 2 }
    }
    tileRows = Self.edge(m, pieces: down)
    tileColumns = Self.edge(n, pieces: across)
    tilesAcross = Self.pieces(n, atMost: tileColumns)
    count = m == 0 || n == 0 ? 0 : Self.pieces(m, atMost: tileRows) * tilesAcross
  }

  /// The rectangle of C that tile `index` covers.
  func tile(_ index: Int) -> (rows: Range<Int>, columns: Range<Int>) {
    let firstRow = index / tilesAcross * tileRows
    let firstColumn = index % tilesAcross * tileColumns
    return (firstRow..<min(rows, firstRow + tileRows), firstColumn..<min(columns, firstColumn + tileColumns))
  }

  private static func pieces(_ size: Int, atMost largest: Int) -> Int {
    max(1, (size + largest - 1) / largest)
  }

  private static func edge(_ size: Int, pieces: Int) -> Int {
    let even = max(1, (size + pieces - 1) / pieces)
    return (even + edgeUnit - 1) / edgeUnit * edgeUnit
  }
}
