/// A sample whose outputs are awaited.
struct PredictedRow {
  /// Rows of outputs it has: 1, or its tokens.
  let outputs: Int
  /// Where each of a token sample's outputs belongs in the file's row, in the order sent; empty where a sample has one output.
  let columns: [Int]

  init(outputs: Int = 1, columns: [Int] = []) {
    self.outputs = outputs
    self.columns = columns
  }
}
