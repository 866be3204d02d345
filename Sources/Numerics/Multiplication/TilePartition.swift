/// How one multiplication's result is cut into tiles, one BLAS call each.
///
/// A function of the sizes alone, so that a result's bits never depend on how many threads share the tiles. A tile costs
/// BLAS one packing of its rows of A and its columns of B, so large tiles waste less and small ones spread further.
struct TilePartition {
  /// Edges of the largest tiles; they may be exceeded by half before they are cut.
  private static let maxRows = 1024
  private static let maxColumns = 2048
  /// Rows are cut first, down to so many and to a third of the columns. Measured on one core (OpenBLAS 0.3.21), as shares of one whole
  /// call's speed: of 1024 × 1536 × 384, 256 × 1536 0.97, 512 × 768 0.94, 512 × 384 0.93, 192 × 384 0.91; of 1024 × 2048 × 2048,
  /// 512 × 1024 0.95, 512 × 512 0.92, 256 × 2048 0.90, 256 × 1024 0.89.
  private static let minRows = 256
  private static let maxColumnsPerRow = 3
  /// Products are cut into up to 4 tiles of at least so many multiply-adds (about 80 µs of one core), so that handing a tile to another
  /// thread costs little beside it; large ones into up to 8, for more than a few cores.
  private static let smallWork = 1 << 22
  private static let largeWork = 1 << 30
  /// Tile edges are multiples of this, the row count of the widest register block.
  private static let edgeUnit = 16

  let rows: Int
  let columns: Int
  private let tilesDown: Int
  private let tilesAcross: Int

  init(m: Int, n: Int, k: Int) {
    rows = m
    columns = n
    let work = m.multipliedReportingOverflow(by: n).partialValue.multipliedReportingOverflow(by: max(1, k))
    let wanted =
      work.overflow ? 8 : max(min(4, work.partialValue / Self.smallWork), min(8, work.partialValue / Self.largeWork))
    var down = Self.pieces(m, of: Self.maxRows)
    var across = Self.pieces(n, of: Self.maxColumns)
    while down * across < wanted {
      let height = m / down
      let width = n / across
      if max(height, width) < 2 * Self.edgeUnit { break }
      let cutsRows = width <= Self.maxColumnsPerRow * height && (height >= 2 * Self.minRows || height > width)
      if cutsRows { down *= 2 } else { across *= 2 }
    }
    tilesDown = m == 0 ? 0 : down
    tilesAcross = n == 0 ? 0 : across
  }

  var count: Int { tilesDown * tilesAcross }

  /// The rectangle of C that tile `index` covers.
  func tile(_ index: Int) -> (rows: Range<Int>, columns: Range<Int>) {
    let (row, column) = index.quotientAndRemainder(dividingBy: tilesAcross)
    return (Self.range(row, of: tilesDown, rows), Self.range(column, of: tilesAcross, columns))
  }

  /// About `size / most`, rounded to the nearest.
  private static func pieces(_ size: Int, of largest: Int) -> Int {
    max(1, size / largest + (size % largest >= largest / 2 ? 1 : 0))
  }

  /// Piece `number` of `pieces` about equal ones.
  private static func range(_ number: Int, of pieces: Int, _ size: Int) -> Range<Int> {
    func bound(_ number: Int) -> Int {
      let even = size / pieces * number + size % pieces * number / pieces
      return number == pieces ? size : min(size, (even + edgeUnit / 2) / edgeUnit * edgeUnit)
    }
    return bound(number)..<bound(number + 1)
  }
}
