import Foundation
import Tensors

/// Groups rows that are the same vector: bit for bit, or but for rounding and noise that are small beside the distances between different ones.
///
/// The distances of rows to their nearest neighbours have two modes then, and what lies below the border between them (Otsu, IEEE Trans. Syst.
/// Man Cybern. 9, 1979, eq. 12, on logarithms) is joined.
struct VectorClusters: Sendable {
  /// Of each row, 0 ..< count; larger clusters first.
  let cluster: [Int]
  let count: Int

  private static let rowsInBlock = 256
  /// Relative to the row: what rounding leaves of equal rows.
  private static let floor = 1e-6

  /// - Parameter rows: `[n, d]`; n² numbers are looked at, block by block.
  init(_ rows: Tensor<Float>, workers: Workers) {
    let rows = rows.converted(to: Double.self)
    let count = rows.rows
    var nearest = [Double](repeating: .infinity, count: count)
    Self.forEachDistance(rows, workers: workers) { row, other, distance in
      if distance < nearest[row] { nearest[row] = distance }
      if distance < nearest[other] { nearest[other] = distance }
    }
    let border = Self.border(nearest.filter(\.isFinite))
    var parent = Array(0..<count)
    func root(_ row: Int) -> Int {
      var row = row
      while parent[row] != row {
        parent[row] = parent[parent[row]]
        row = parent[row]
      }
      return row
    }
    Self.forEachDistance(rows, workers: workers) { row, other, distance in
      if distance < border { parent[root(row)] = root(other) }
    }
    var sizes: [Int: Int] = [:]
    let roots = (0..<count).map(root)
    for root in roots { sizes[root, default: 0] += 1 }
    let order = sizes.keys.sorted { (sizes[$0] ?? 0, $1) > (sizes[$1] ?? 0, $0) }
    let number = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
    cluster = roots.map { number[$0] ?? 0 }
    self.count = order.count
  }

  /// Every pair of rows with their distance, relative to the root mean square of both lengths.
  private static func forEachDistance(_ rows: Tensor<Double>, workers: Workers, _ body: (Int, Int, Double) -> Void) {
    let count = rows.rows
    let squares = (0..<count).map { row in (0..<rows.columns).reduce(0) { $0 + rows[row, $1] * rows[row, $1] } }
    for start in stride(from: 0, to: count, by: rowsInBlock) {
      let block = start..<min(count, start + rowsInBlock)
      let products = rows.slice(rows: block).times(
        rows.slice(rows: block.lowerBound..<count), otherTransposed: true, workers: workers)
      products.withUnsafeBufferPointer { products in
        let width = count - start
        for row in block {
          for other in row + 1..<max(count, row + 1) {
            let whole = max(squares[row] + squares[other], .leastNormalMagnitude)
            let square = whole - 2 * products[(row - start) * width + other - start]
            body(row, other, (2 * max(0, square) / whole).squareRoot())
          }
        }
      }
    }
  }

  /// Between the distances of equal rows and those of different ones; only what is equal to rounding counts as equal where there is no such
  /// border.
  private static func border(_ distances: [Double]) -> Double {
    let logarithms = distances.map { log(max($0, floor)) }.sorted()
    var below = 0.0
    let whole = logarithms.reduce(0, +)
    var best = (spread: 0.0, border: 10 * floor, gap: 0.0)
    for split in stride(from: 1, to: logarithms.count, by: 1) {
      below += logarithms[split - 1]
      let (left, right) = (Double(split), Double(logarithms.count - split))
      let gap = (whole - below) / right - below / left
      let spread = left * right * gap * gap
      if spread > best.spread {
        best = (spread, exp((logarithms[split - 1] + logarithms[split]) / 2), gap)
      }
    }
    // Two modes less than a factor of two apart are one.
    return best.gap > log(2.0) ? best.border : 10 * floor
  }
}
