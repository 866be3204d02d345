/// What an HDF5 file holds, for people and scripts: what is refused is listed with the reason, not left out.
package struct FileInspection: Codable, Sendable, Equatable {
  package let file: String
  /// In the order of their paths.
  package let datasets: [DatasetInspection]
  /// Groups that are read as one thing: sparse matrices and categories.
  package let groups: [GroupInspection]
  package let refusedObjects: [RefusedObject]
  /// Attributes of the file's root.
  package let attributes: [String: String]
}
