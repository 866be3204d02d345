/// A group that a job reads as one column or matrix.
package struct GroupInspection: Codable, Sendable, Equatable {
  package enum Role: String, Codable, Sendable {
    case compressedSparseRows
    /// Refused: rows cannot be read from it.
    case compressedSparseColumns
    case categories
  }

  package let path: String
  package let role: Role
  /// Of a sparse matrix: rows, columns.
  package let shape: [Int]?
  /// Entries a sparse matrix stores.
  package let storedEntries: Int?
  /// Of a categorical column.
  package let categoryCount: Int?
}
