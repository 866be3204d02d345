/// Where in which file something is: what every error of this module names first.
package struct DataLocation: Sendable, Equatable, CustomStringConvertible {
  package let file: String
  /// The path of a dataset, group or field (`obs[bulk_labels]`) in the file; nil for the file itself.
  package let object: String?

  package init(file: String, object: String? = nil) {
    self.file = file
    self.object = object
  }

  /// The same file, another object.
  func object(_ path: String) -> DataLocation { DataLocation(file: file, object: path) }

  package var description: String {
    guard let object else { return file }
    return "\(file): '\(object)'"
  }
}
