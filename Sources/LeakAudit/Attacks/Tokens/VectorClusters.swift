import Foundation
import Numerics

/// Groups rows that are the same vector: bit for bit, or but for rounding and noise that are small beside the distances between different ones.
///
/// Joined one after the other by the shortest distance (single linkage; Gower and Ross, J. R. Stat. Soc. C 18, 1969: the edges of the minimum spanning
/// tree), rows meet their likes at small distances and others at large ones: two modes, and what lies below the border between them (Otsu, IEEE
/// Trans. Syst. Man Cybern. 9, 1979, on logarithms) is one cluster.
struct VectorClusters: Sendable {
  /// Of each row, 0 ..< count; larger clusters first.
  let cluster: [Int]
  let count: Int

  private static let rowsPerBlock = 256
  /// Relative to the row: what rounding leaves of equal rows.
  private static let floor = 1e-6

  private struct Edge {
    let row: Int
    let other: Int
    /// Relative to the root mean square of both lengths.
    let distance: Double
  }

  private init(labels: [Int]) {
    var sizes: [Int: Int] = [:]
    for label in labels { sizes[label, default: 0] += 1 }
    let order = sizes.sorted { ($0.value, $1.key) > ($1.value, $0.key) }
    let number = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1.key, $0) })
    cluster = labels.map { number[$0] ?? 0 }
    count = order.count
  }

  /// - Parameter rows: `[n, d]`, n up to some thousands: n² distances are kept.
  init(_ rows: Tensor<Float>, compute: Compute) {
    let edges = Self.spanningTree(rows.converted(to: Double.self), compute: compute)
    let border = Self.border(edges.map(\.distance))
    var parent = Array(0..<rows.rows)
    func root(_ row: Int) -> Int {
      var row = row
      while parent[row] != row {
        parent[row] = parent[parent[row]]
        row = parent[row]
      }
      return row
    }
    for edge in edges where edge.distance < border { parent[root(edge.row)] = root(edge.other) }
    self.init(labels: (0..<rows.rows).map(root))
  }

  /// Clusters of clusters: an encoder's token at one position is nearer to itself at another than to other tokens, since words differ by more than
  /// positions.
  ///
  /// - Parameter rows: those that these are the clusters of.
  func merged(_ rows: Tensor<Float>, compute: Compute) -> VectorClusters {
    var first = [Int](repeating: -1, count: count)
    for (row, number) in cluster.enumerated() where first[number] < 0 { first[number] = row }
    let groups = VectorClusters(rows.selecting(rows: first), compute: compute)
    return VectorClusters(labels: cluster.map { groups.cluster[$0] })
  }

  /// The n − 1 edges of Prim's tree.
  private static func spanningTree(_ rows: Tensor<Double>, compute: Compute) -> [Edge] {
    let count = rows.rows
    guard count > 1 else { return [] }
    let distances = squaredDistances(rows, compute: compute)
    var edges: [Edge] = []
    edges.reserveCapacity(count - 1)
    var isInside = [Bool](repeating: false, count: count)
    var (shortest, from) = ([Float](repeating: .infinity, count: count), [Int](repeating: 0, count: count))
    var newest = 0
    distances.withUnsafeBufferPointer { distances in
      for _ in 1..<count {
        isInside[newest] = true
        var next = -1
        for row in 0..<count where !isInside[row] {
          let distance = distances[newest * count + row]
          if distance < shortest[row] { (shortest[row], from[row]) = (distance, newest) }
          if next < 0 || shortest[row] < shortest[next] { next = row }
        }
        edges.append(Edge(row: next, other: from[next], distance: Double(shortest[next]).squareRoot()))
        newest = next
      }
    }
    return edges
  }

  /// `[n, n]`, relative to the mean square of both lengths.
  private static func squaredDistances(_ rows: Tensor<Double>, compute: Compute) -> Tensor<Float> {
    let (count, squares) = (rows.rows, rows.squaredNorms)
    var result = Tensor<Float>(uninitialized: [count, count])
    for start in stride(from: 0, to: count, by: rowsPerBlock) {
      let block = start..<min(count, start + rowsPerBlock)
      let products = rows.slice(rows: block).times(rows, otherTransposed: true, compute: compute)
      result.withUnsafeMutableBufferPointer { result in
        products.withUnsafeBufferPointer { products in
          for row in block {
            for other in 0..<count {
              let whole = max(squares[row] + squares[other], .leastNormalMagnitude)
              let square = max(0, whole - 2 * products[(row - start) * count + other])
              result[row * count + other] = Float(2 * square / whole)
            }
          }
        }
      }
    }
    return result
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
