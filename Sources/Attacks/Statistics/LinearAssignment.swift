package import Tensors

/// The one-to-one matching of rows to columns with the largest sum of scores.
package enum LinearAssignment {
  /// By shortest augmenting paths with dual prices (Jonker and Volgenant, Computing 38, 1987; Kuhn's Hungarian method), O(rows² · columns).
  ///
  /// - Parameter scores: finite, `[rows, columns]`, rows ≤ columns.
  /// - Returns: for each row its column, no two the same.
  package static func maximum(_ scores: Tensor<Double>) -> [Int] {
    let (rows, columns) = (scores.rows, scores.columns)
    precondition(rows <= columns, "\(rows) rows need as many columns, not \(columns)")
    // Row and column 0 stand for "none", so that both prices and matches start at 1.
    var rowPrice = [Double](repeating: 0, count: rows + 1)
    var columnPrice = [Double](repeating: 0, count: columns + 1)
    var rowOf = [Int](repeating: 0, count: columns + 1)
    var previous = [Int](repeating: 0, count: columns + 1)
    scores.withUnsafeBufferPointer { scores in
      for row in stride(from: 1, through: rows, by: 1) {
        rowOf[0] = row
        var column = 0
        var slack = [Double](repeating: .infinity, count: columns + 1)
        var isDone = [Bool](repeating: false, count: columns + 1)
        repeat {
          isDone[column] = true
          let from = rowOf[column]
          var (next, step) = (0, Double.infinity)
          for candidate in 1...columns where !isDone[candidate] {
            let reduced = -scores[(from - 1) * columns + candidate - 1] - rowPrice[from] - columnPrice[candidate]
            if reduced < slack[candidate] {
              slack[candidate] = reduced
              previous[candidate] = column
            }
            if slack[candidate] < step { (next, step) = (candidate, slack[candidate]) }
          }
          for candidate in 0...columns {
            if isDone[candidate] {
              rowPrice[rowOf[candidate]] += step
              columnPrice[candidate] -= step
            } else {
              slack[candidate] -= step
            }
          }
          column = next
        } while rowOf[column] != 0
        repeat {
          let before = previous[column]
          rowOf[column] = rowOf[before]
          column = before
        } while column != 0
      }
    }
    var result = [Int](repeating: 0, count: rows)
    for column in stride(from: 1, through: columns, by: 1) where rowOf[column] > 0 {
      result[rowOf[column] - 1] = column - 1
    }
    return result
  }
}
