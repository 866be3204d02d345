/// One class a row.
package struct ClassLabels: Sendable, Equatable {
  /// Each in `0..<classCount`.
  package let ids: [Int32]
  /// At least 2 and at most the number of rows; some may have no row.
  package let classCount: Int
  /// The names of the classes by id, where the file has any: strings in sorted byte order, AnnData categories in their stored
  /// order, members of an enumeration in the order of their values.
  package let names: [String]?
}
