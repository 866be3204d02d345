package import Numerics

/// The assignment of rows to columns, each column taken at most once, with the greatest sum of scores.
///
/// By shortest augmenting paths: Jonker and Volgenant, Computing 38 (1987), in the form for rectangular matrices of Crouse, IEEE Trans.
/// Aerosp. Electron. Syst. 52 (2016), section III; O(rows² · columns). A row first takes its best column if that is free, so that on
/// clear-cut scores few paths are left to find.
package struct LinearAssignment {
  /// For each row its column.
  ///
  /// - Parameter scores: `[rows, columns]`, rows ≤ columns. What is not finite counts as one less than the least finite score.
  package static func maximum(_ scores: Tensor<Double>) -> [Int] {
    let (rows, columns) = (scores.rows, scores.columns)
    precondition(rows <= columns, "\(rows) rows cannot each have one of \(columns) columns")
    guard rows > 0 else { return [] }
    var search = LinearAssignment(costs: costs(scores), rows: rows, columns: columns)
    search.assignFavorites()
    for row in 0..<rows where search.columnOfRow[row] < 0 { search.augment(from: row) }
    return search.columnOfRow
  }

  private let costs: [Double]
  private let columns: Int
  private var columnOfRow: [Int]
  private var rowOfColumn: [Int]
  /// Dual variables: cost − row's − column's price ≥ 0, and = 0 for assigned pairs.
  private var rowPrices: [Double]
  private var columnPrices: [Double]
  /// Of the search under way: length of the shortest path found to a column, the row it comes from, and the columns not yet reached.
  private var distances: [Double]
  private var previousRow: [Int]
  private var open: [Int]

  private init(costs: [Double], rows: Int, columns: Int) {
    self.costs = costs
    self.columns = columns
    columnOfRow = Array(repeating: -1, count: rows)
    rowOfColumn = Array(repeating: -1, count: columns)
    rowPrices = Array(repeating: 0, count: rows)
    columnPrices = Array(repeating: 0, count: columns)
    distances = Array(repeating: 0, count: columns)
    previousRow = Array(repeating: 0, count: columns)
    open = Array(repeating: 0, count: columns)
  }

  /// Scores turned into costs of at least 0.
  private static func costs(_ scores: Tensor<Double>) -> [Double] {
    var costs = scores.elements
    let finite = costs.lazy.filter(\.isFinite)
    let (least, greatest) = (finite.min() ?? 0, finite.max() ?? 0)
    for index in costs.indices {
      costs[index] = greatest - (costs[index].isFinite ? costs[index] : least - 1)
    }
    return costs
  }

  private mutating func assignFavorites() {
    for row in columnOfRow.indices {
      let first = row * columns
      var best = 0
      for column in 1..<max(1, columns) where costs[first + column] < costs[first + best] { best = column }
      rowPrices[row] = costs[first + best]
      guard rowOfColumn[best] < 0 else { continue }
      rowOfColumn[best] = row
      columnOfRow[row] = best
    }
  }

  /// Finds the shortest path from `start` to a free column, by Dijkstra's algorithm on reduced costs, and flips it.
  private mutating func augment(from start: Int) {
    var reached: [Int] = []
    var remaining = columns
    for column in 0..<columns {
      distances[column] = .infinity
      open[column] = column
    }
    var row = start
    var length = 0.0
    var end = -1
    while end < 0 {
      let place = relax(row: row, length: length, remaining: remaining)
      let column = open[place]
      length = distances[column]
      remaining -= 1
      open[place] = open[remaining]
      reached.append(column)
      if rowOfColumn[column] < 0 { end = column } else { row = rowOfColumn[column] }
    }
    rowPrices[start] += length
    for column in reached where column != end {
      rowPrices[rowOfColumn[column]] += length - distances[column]
      columnPrices[column] -= length - distances[column]
    }
    flip(to: end, from: start)
  }

  /// Looks from `row` at every open column; returns where in `open` the nearest one is, free ones first.
  private mutating func relax(row: Int, length: Double, remaining: Int) -> Int {
    let base = length - rowPrices[row]
    let first = row * columns
    var nearest = Double.infinity
    var place = 0
    for index in 0..<remaining {
      let column = open[index]
      let distance = base + costs[first + column] - columnPrices[column]
      if distance < distances[column] {
        distances[column] = distance
        previousRow[column] = row
      }
      let shortest = distances[column]
      if shortest < nearest || (shortest == nearest && rowOfColumn[column] < 0) {
        nearest = shortest
        place = index
      }
    }
    return place
  }

  private mutating func flip(to end: Int, from start: Int) {
    var column = end
    while true {
      let row = previousRow[column]
      rowOfColumn[column] = row
      (columnOfRow[row], column) = (column, columnOfRow[row])
      if row == start { return }
    }
  }
}
