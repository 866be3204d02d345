package import Architecture

/// A pretrained model and what a job makes of it.
package struct HuggingFaceModel: Sendable, Equatable, Codable {
  /// Absolute path of the directory that holds config.json.
  package let directory: String
  /// `cls`, `mean` or `last`; nil leaves it to the model's family, and for tasks with an output for every token.
  package let pool: TokenPooling?
  /// Classes or label columns; nil leaves it to the labels.
  package let classes: Int?
  package let train: TrainedPart

  package init(directory: String, pool: TokenPooling?, classes: Int?, train: TrainedPart) {
    self.directory = directory
    self.pool = pool
    self.classes = classes
    self.train = train
  }
}
