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
