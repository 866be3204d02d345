/// Where the rows come from.
package struct JobData: Sendable, Equatable, Codable {
  /// Absolute path of the HDF5 file.
  package let file: String
  /// Path of the feature matrix inside the file; `obs[column]` is a field of a compound dataset.
  package let features: String
  package let labels: String
  package let split: DataSplit
  package let standardize: Bool

  package init(file: String, features: String, labels: String, split: DataSplit, standardize: Bool) {
    self.file = file
    self.features = features
    self.labels = labels
    self.split = split
    self.standardize = standardize
  }
}
