/// Where the rows come from.
package struct JobData: Sendable, Equatable, Codable {
  /// Absolute path of the HDF5 file.
  package let file: String
  package let inputs: JobInputs
  /// Nil only where the tokens are the labels (causal language modelling).
  package let labels: String?
  package let split: DataSplit
  /// False for tokens.
  package let standardize: Bool

  package init(file: String, inputs: JobInputs, labels: String?, split: DataSplit, standardize: Bool) {
    self.file = file
    self.inputs = inputs
    self.labels = labels
    self.split = split
    self.standardize = standardize
  }
}
