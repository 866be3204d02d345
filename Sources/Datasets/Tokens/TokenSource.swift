extension HDF5File {
  /// Opens the tokens of a job: N × L integers of any width, and beside them a mask and types of the same shape.
  /// - Parameters:
  ///   - mask: 1 for a token, 0 for padding; without it every token counts.
  ///   - types: without it every type is 0.
  /// - Throws: `DatasetError`: `wrongType`, `wrongRank`, `empty`, `tooLarge`, `shapeMismatch`, `invalidTypes` when the model
  ///   has none, and what opening throws. Values are checked as they are read.
  package func openTokens(
    ids: String, mask: String?, types: String?, limits: TokenLimits
  ) throws(DatasetError) -> TokenSource {
    let idMatrix = try TokenMatrix(openArray(ids), "token ids")
    var maskMatrix: TokenMatrix?
    if let mask { maskMatrix = try TokenMatrix(openArray(mask), "masks") }
    var typeMatrix: TokenMatrix?
    if let types {
      guard limits.types > 0 else {
        throw DatasetError(.invalidTypes, location.object(types), "the model has no token types; leave data.types out")
      }
      typeMatrix = try TokenMatrix(openArray(types), "token types")
    }
    try maskMatrix?.checkShape(idMatrix.array.shape)
    try typeMatrix?.checkShape(idMatrix.array.shape)
    return TokenSource(ids: idMatrix, mask: maskMatrix, types: typeMatrix, limits: limits)
  }

  /// Opens a label for every token: N × L integers, negative (−100 by custom) where a token does not count.
  /// - Parameters:
  ///   - tokens: what the labels stand beside.
  ///   - classes: labels are below this; nil counts the classes, which reads all labels once.
  /// - Throws: `DatasetError`: `wrongType`, `wrongRank`, `empty`, `tooLarge`, `shapeMismatch`; when counting, also `invalidLabels`
  ///   when no token counts or all are of one class, `tooManyClasses`, and what reading throws.
  package func openTokenLabels(
    path: String, tokens: TokenSource, classes: Int?
  ) throws(DatasetError) -> TokenLabels {
    let matrix = try TokenMatrix(openArray(path), "labels of tokens")
    try matrix.checkShape([tokens.rows, tokens.columns])
    return try TokenLabels(matrix, tokens: tokens, classes: classes)
  }
}

/// The token sequences of a job, streamed from a file.
///
/// As with `FeatureSource`, meant to be read by ascending blocks of `preferredRowBlock` rows, which inflates every chunk of the
/// file once; any other range may be asked for at the price of inflating its chunks again. Calls from several threads are
/// allowed and take turns.
package struct TokenSource: Sendable {
  private let ids: TokenMatrix
  private let mask: TokenMatrix?
  private let types: TokenMatrix?
  package let limits: TokenLimits

  init(ids: TokenMatrix, mask: TokenMatrix?, types: TokenMatrix?, limits: TokenLimits) {
    self.ids = ids
    self.mask = mask
    self.types = types
    self.limits = limits
  }

  /// N, at least 1.
  package var rows: Int { ids.array.rows }
  /// L, at least 1: tokens of a row with its padding.
  package var columns: Int { ids.array.columns }
  /// Rows to ask for at once: whole chunks of the ids, up to 8 MB of them.
  package var preferredRowBlock: Int { min(ids.array.plan.rowBlock, rows) }
  /// How often a chunk of the file is inflated when it is read once in such blocks.
  package var inflationsPerChunk: Int {
    [ids, mask, types].compactMap { $0?.array.plan.inflationsPerChunk }.max() ?? 0
  }

  /// The tokens of some rows, checked against the limits. Of what stands in padding no more is looked at than which ids there are.
  /// - Throws: `DatasetError` naming dataset, row and column: `invalidTokens` for an id outside of the vocabulary, `invalidTypes`,
  ///   `invalidMask` for anything but 0 and 1, `emptySequence` for a row of padding alone, `sequenceTooLong`,
  ///   `misplacedPadding`, `damagedRows`.
  package func read(rows: Range<Int>) throws(DatasetError) -> TokenRows {
    let numbers = try ids.read(rows)
    let kept = try readMask(rows)
    let segments = try types?.read(rows)
    var offsets = [0]
    offsets.reserveCapacity(rows.count + 1)
    var result: (ids: [Int32], columns: [Int32], positions: [Int32], types: [Int32]) = ([], [], [], [])
    var padding: [Int32] = []
    for row in rows {
      let first = (row - rows.lowerBound) * columns
      var counted: Int32 = 0
      for (column, index) in (first..<first + columns).enumerated() {
        let id = numbers[index]
        // Also where the mask says padding: the libraries count without a look at it.
        if id != limits.uncountedToken { counted += 1 }
        guard kept?[index] ?? 1 == 1 else {
          if padding.count < 2, !padding.contains(id) { padding.append(id) }
          continue
        }
        guard id >= 0, Int(id) < limits.vocabulary else {
          throw ids.failure(
            .invalidTokens, row: row, column: column,
            "is not a token id of the model: ids are 0–\(limits.vocabulary - 1); tokenise with the model's own tokenizer"
          )
        }
        result.ids.append(id)
        result.columns.append(Int32(truncatingIfNeeded: column))
        if let uncounted = limits.uncountedToken { result.positions.append(id == uncounted ? 0 : counted) }
        guard let types, let segments else { continue }
        guard segments[index] >= 0, Int(segments[index]) < limits.types else {
          throw types.failure(
            .invalidTypes, row: row, column: column, "is not a token type of the model: types are 0–\(limits.types - 1)"
          )
        }
        result.types.append(segments[index])
      }
      offsets.append(result.ids.count)
    }
    if types == nil { result.types = [Int32](repeating: 0, count: result.ids.count) }
    return TokenRows(
      ids: result.ids, columns: result.columns,
      positions: limits.uncountedToken == nil ? result.columns : result.positions, types: result.types,
      offsets: offsets, padding: padding)
  }

  /// Tokens of each row, padding not counted: reads the masks and nothing else.
  /// - Throws: as `read`, for what masks alone show.
  package func readLengths() throws(DatasetError) -> [Int32] {
    guard mask != nil else {
      // The one check that needs no mask: every row is as long as the matrix is wide.
      _ = try readMask(0..<1)
      return [Int32](repeating: Int32(truncatingIfNeeded: columns), count: rows)
    }
    var lengths: [Int32] = []
    lengths.reserveCapacity(rows)
    for start in stride(from: 0, to: rows, by: preferredRowBlock) {
      let block = start..<min(start + preferredRowBlock, rows)
      guard let kept = try readMask(block) else { break }
      for first in stride(from: 0, to: kept.count, by: columns) {
        lengths.append(kept[first..<first + columns].reduce(0, +))
      }
    }
    return lengths
  }

  /// The checked masks of some rows; nil without a mask.
  func readMask(_ rows: Range<Int>) throws(DatasetError) -> [Int32]? {
    guard let mask else {
      guard columns <= limits.positions else { throw tooLong(row: rows.lowerBound, in: ids) }
      return nil
    }
    let kept = try mask.read(rows)
    for row in rows {
      let first = (row - rows.lowerBound) * columns
      let values = kept[first..<first + columns]
      if let wrong = values.firstIndex(where: { $0 != 0 && $0 != 1 }) {
        throw mask.failure(
          .invalidMask, row: row, column: wrong - first, "is neither 0 (padding) nor 1 (a token)")
      }
      guard let last = values.lastIndex(of: 1) else {
        throw mask.failure(.emptySequence, row: row, "is all padding; drop such rows first")
      }
      guard last - first < limits.positions else { throw tooLong(row: row, in: mask) }
      if limits.requiresTrailingPadding, let gap = values.firstIndex(of: 0), gap < last {
        throw mask.failure(
          .misplacedPadding, row: row, column: gap - first,
          "is padding before a token; a decoder takes padding at the end only: tokenise with padding_side=\"right\"")
      }
      if limits.requiresFirstToken, values.first == 0 {
        throw mask.failure(
          .misplacedPadding, row: row, column: 0,
          "is padding, and the model's head reads the first column: tokenise with padding_side=\"right\", or set model.head.pool: mean"
        )
      }
    }
    return kept
  }

  private func tooLong(row: Int, in matrix: TokenMatrix) -> DatasetError {
    matrix.failure(
      .sequenceTooLong, row: row,
      "has tokens beyond column \(limits.positions - 1); the model has \(limits.positions) positions: truncate the texts"
    )
  }
}

/// What a model takes of its tokens.
package struct TokenLimits: Sendable, Equatable {
  /// Token ids are below this, 1 … 2³¹ − 1.
  package let vocabulary: Int
  /// Token types are below this; 0 for a model without types.
  package let types: Int
  /// The columns of a sequence that the model has positions for, at least 1.
  package let positions: Int
  /// Whether padding may only follow the tokens of a row. A decoder needs it: its last token is the row's last, and what follows
  /// a token must not change it.
  package let requiresTrailingPadding: Bool

  /// Whether the first column must be a token in every row, because the head reads what stands there.
  package let requiresFirstToken: Bool
  /// Where there is one, positions are counted from 1 among the ids of a row that are not this one, which has position 0 itself; else a
  /// token's position is its column.
  package let uncountedToken: Int32?

  package init(
    vocabulary: Int, types: Int, positions: Int, requiresTrailingPadding: Bool, requiresFirstToken: Bool = false,
    uncountedToken: Int32? = nil
  ) {
    self.vocabulary = vocabulary
    self.types = types
    self.positions = positions
    self.requiresTrailingPadding = requiresTrailingPadding
    self.requiresFirstToken = requiresFirstToken
    self.uncountedToken = uncountedToken
  }
}

/// The tokens of some rows one after another, padding left out.
package struct TokenRows: Sendable, Equatable {
  /// [tokens]
  package let ids: [Int32]
  /// [tokens]: the column in the file that a token stands in, ascending in each row.
  package let columns: [Int32]
  /// [tokens]: as `TokenLimits.uncountedToken` has them counted.
  package let positions: [Int32]
  /// [tokens]: 0 where the file has no types.
  package let types: [Int32]
  /// [rows + 1]: where a row begins; the last is the number of tokens. No row is empty.
  package let offsets: [Int]
  /// Ids that stand where the mask says padding, the first two that differ.
  package let padding: [Int32]

  /// - Parameter columns: nil where they are the positions.
  package init(
    ids: [Int32], columns: [Int32]? = nil, positions: [Int32], types: [Int32], offsets: [Int], padding: [Int32] = []
  ) {
    self.ids = ids
    self.columns = columns ?? positions
    self.positions = positions
    self.types = types
    self.offsets = offsets
    self.padding = padding
  }

  package var rows: Int { offsets.count - 1 }
  package var tokens: Int { ids.count }

  /// The tokens of row `index`, counted from the first row that was read.
  package subscript(row index: Int) -> Range<Int> { offsets[index]..<offsets[index + 1] }
}

/// An N × L dataset of integers, read by blocks of rows.
struct TokenMatrix: Sendable {
  let array: StoredArray

  /// - Throws: `wrongType`, `wrongRank`, `empty`, `tooLarge`.
  init(_ array: StoredArray, _ content: String) throws(DatasetError) {
    guard array.element.isInteger else {
      throw DatasetError(.wrongType, array.location, "it holds \(array.element); \(content) are integers")
    }
    guard array.shape.count == 2 else {
      throw DatasetError(
        .wrongRank, array.location,
        "its shape is \(array.shape), rank \(array.shape.count); \(content) are a matrix of rank 2, rows × tokens")
    }
    guard array.rows > 0, array.columns > 0 else {
      throw DatasetError(.empty, array.location, "its shape is \(array.shape): there are no rows or no tokens")
    }
    guard array.columns <= ChunkPlan.largestRowBytes / 4 else {
      throw DatasetError(.tooLarge, array.location, "it has more than \(ChunkPlan.largestRowBytes / 4) columns")
    }
    self.array = array
  }

  /// - Throws: `shapeMismatch`.
  func checkShape(_ shape: [Int]) throws(DatasetError) {
    guard array.shape == shape else {
      throw DatasetError(.shapeMismatch, array.location, "its shape is \(array.shape), and the token ids have \(shape)")
    }
  }

  /// `rows.count` × L numbers, row-major. A number beyond 32 bits arrives as the nearest that is not.
  func read(_ rows: Range<Int>) throws(DatasetError) -> [Int32] {
    var numbers = [Int32](repeating: 0, count: rows.count * array.columns)
    try array.read(rows: rows, as: .int32, into: &numbers)
    return numbers
  }

  func failure(
    _ reason: DatasetError.Reason, row: Int, column: Int? = nil, _ problem: String
  ) -> DatasetError {
    DatasetError(reason, array.location, "row \(row)" + (column.map { ", column \($0)" } ?? "") + " " + problem)
  }
}
