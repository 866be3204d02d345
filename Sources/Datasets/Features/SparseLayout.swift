/// What a group's attributes say of a sparse matrix in it, in either of AnnData's layouts.
struct SparseLayout: Sendable, Equatable {
  enum Orientation: Sendable, Equatable { case rows, columns }

  let orientation: Orientation
  let shape: [Int]

  /// nil when the group does not say that it is a sparse matrix.
  init?(_ group: StoredGroup) throws(DatasetError) {
    let attributes = AttributeReader(object: group.handle, location: group.location)
    let format: String
    let shapeName: String
    if let old = try attributes.text("h5sparse_format") {
      (format, shapeName) = (old, "h5sparse_shape")
    } else if let new = try attributes.text("encoding-type"), new.hasSuffix("_matrix") {
      (format, shapeName) = (String(new.dropLast("_matrix".count)), "shape")
    } else {
      return nil
    }
    switch format {
    case "csr": orientation = .rows
    case "csc": orientation = .columns
    default: return nil
    }
    let numbers = try attributes.integers(shapeName) ?? []
    shape = numbers.compactMap { Int(exactly: $0) }
    guard shape.count == 2, numbers.count == 2, shape.allSatisfy({ $0 >= 0 }) else {
      throw DatasetError(.damagedFile, group.location, "its attribute '\(shapeName)' is not the shape of a matrix")
    }
  }
}
