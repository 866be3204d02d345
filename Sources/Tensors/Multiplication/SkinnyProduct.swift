/// Cuts a product with few rows or columns so that OpenBLAS's kernels for small matrices compute it.
///
/// Its AVX-512 builds have kernels that skip packing, but take them only up to 10⁶ multiply-adds. Micro-batches of 16
/// rows are above that and spend half their time packing weights that are used 16 times: 16 × 512 × 2050 runs at
/// 56 GF/s whole and at 99 in parts (one core, OpenBLAS 0.3.21).
struct SkinnyProduct {
  /// Above this many rows (or columns) packing is worth its time.
  private static let skinny = 32
  /// Below the library's own limit, where the small kernels are also refused for some long shapes.
  private static let largestWork = 750_000
  private static let longestPart = 96
  /// Parts are multiples of this; narrower ones leave vector lanes empty.
  private static let unit = 8

  /// Rows and columns of C that one call computes.
  let rows: Int
  let columns: Int

  /// Nil when one call for the whole product is best.
  init?(m: Int, n: Int, k: Int) {
    let (thin, long) = (min(m, n), max(m, n))
    guard thin >= 1, thin <= Self.skinny, k >= 1, k <= Self.largestWork else { return nil }
    let most = min(Self.longestPart, Self.largestWork / (thin * k)) / Self.unit * Self.unit
    guard most >= Self.unit, long > most else { return nil }
    let parts = (long + most - 1) / most
    let part = (long / parts + Self.unit) / Self.unit * Self.unit
    let length = min(most, part)
    (rows, columns) = m <= n ? (m, length) : (length, n)
  }
}
