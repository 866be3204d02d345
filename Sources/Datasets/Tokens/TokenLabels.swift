/// A class for every token, streamed from a file.
package struct TokenLabels: Sendable {
  /// What a token has that does not count, whatever negative number the file has: PyTorch's `ignore_index`.
  package static let ignored: Int32 = -100
  /// A softmax over more classes than this is not trained here.
  private static let maxClasses = 1 << 20

  /// Labels are below this.
  package let classes: Int
  private let matrix: TokenMatrix

  init(_ matrix: TokenMatrix, tokens: TokenSource, classes: Int?) throws(DatasetError) {
    self.matrix = matrix
    if let classes {
      self.classes = classes
    } else {
      self.classes = try Self.count(matrix, tokens)
    }
  }

  /// The labels of `tokens`, which are the tokens of `rows`: [tokens], each in `0..<classes` or `ignored`.
  /// - Throws: `DatasetError`: `invalidLabels` naming row and column, `damagedRows`, `defect` when `tokens` are of other rows.
  package func read(rows: Range<Int>, of tokens: TokenRows) throws(DatasetError) -> [Int32] {
    guard tokens.rows == rows.count else {
      throw DatasetError(.defect, matrix.array.location, "the tokens of other rows were given")
    }
    let numbers = try matrix.read(rows)
    let columns = matrix.array.columns
    var labels: [Int32] = []
    labels.reserveCapacity(tokens.tokens)
    for index in 0..<rows.count {
      for token in tokens[row: index] {
        let column = Int(tokens.columns[token])
        guard column < columns else {
          throw DatasetError(.defect, matrix.array.location, "the tokens of another file were given")
        }
        let label = numbers[index * columns + column]
        guard label < classes else {
          throw matrix.failure(
            .invalidLabels, row: rows.lowerBound + index, column: column,
            "is none of \(classes) classes; labels are 0–\(classes - 1), or negative where a token does not count")
        }
        labels.append(label < 0 ? Self.ignored : label)
      }
    }
    return labels
  }

  /// The classes that the tokens have, the largest label and those below it.
  private static func count(_ matrix: TokenMatrix, _ tokens: TokenSource) throws(DatasetError) -> Int {
    var largest: Int32 = -1
    let block = tokens.preferredRowBlock
    for start in stride(from: 0, to: tokens.rows, by: block) {
      let rows = start..<min(start + block, tokens.rows)
      let numbers = try matrix.read(rows)
      let kept = try tokens.readMask(rows)
      for (index, label) in numbers.enumerated() where label > largest && kept?[index] ?? 1 == 1 {
        guard label < maxClasses else {
          throw matrix.failure(
            .tooManyClasses, row: start + index / tokens.columns, column: index % tokens.columns,
            "has a class id above \(maxClasses - 1); is this the label column?")
        }
        largest = label
      }
    }
    guard largest >= 0 else {
      throw DatasetError(.invalidLabels, matrix.array.location, "every label is negative: no token counts")
    }
    guard largest >= 1 else {
      throw DatasetError(
        .invalidLabels, matrix.array.location, "all tokens are of one class; classification needs at least two")
    }
    return Int(largest) + 1
  }
}
