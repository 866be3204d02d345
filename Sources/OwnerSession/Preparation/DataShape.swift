/// What the sizes and keys of a job's model depend on in its data. Kept with a run, so that a result can be unmasked without the data.
package struct DataShape: Sendable, Equatable, Codable {
  /// Columns of a row of features; 0 for tokens.
  package var features: Int
  /// Tokens of the longest sample; nil for features.
  package var maximumTokens: Int?
  /// Classes or label columns.
  package var outputs: Int
  /// Names of the classes in order of class id, when the labels have names.
  package var classNames: [String]?
  /// Whether some labels are missing, which decides the output's key for loss at the trainer.
  package var labelsMissing: Bool
  /// Of the checkpoint that the job starts from: embeddings, frozen weights and folded gains are read from it again later.
  package var checkpoint: String?

  package init(
    features: Int, maximumTokens: Int? = nil, outputs: Int, classNames: [String]?, labelsMissing: Bool,
    checkpoint: String? = nil
  ) {
    self.features = features
    self.maximumTokens = maximumTokens
    self.outputs = outputs
    self.classNames = classNames
    self.labelsMissing = labelsMissing
    self.checkpoint = checkpoint
  }
}
