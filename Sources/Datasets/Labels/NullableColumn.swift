/// A column, and which of its rows have no value.
///
/// AnnData stores nullable integers, Booleans and strings as a group of `values` and `mask`: where the mask is true, `values` holds a
/// fill value without meaning. So the two are read together or not at all.
struct NullableColumn {
  let array: StoredArray
  /// By row; nil where the column is a plain one.
  private let isMissing: [Bool]?

  /// - Throws: `damagedFile` when mask and values do not fit together; what opening and reading throw.
  init(_ path: ObjectPath, in file: HDF5File) throws(DatasetError) {
    guard let group = try Self.group(path, in: file) else {
      array = try file.openArray(path.text)
      isMissing = nil
      return
    }
    array = try file.openPart("\(group)/values")
    let mask = try file.openPart("\(group)/mask")
    guard mask.element.isInteger, mask.shape == array.shape, mask.columns == 1 else {
      throw DatasetError(.damagedFile, mask.location, "it is no mask of the values beside it")
    }
    isMissing = try NumericColumn(mask).integers().map { $0 != 0 }
  }

  /// For what has no way to say that a value is missing.
  /// - Throws: `invalidLabels` naming the first row without a value.
  func withoutMissing() throws(DatasetError) -> StoredArray {
    guard let row = isMissing?.firstIndex(of: true) else { return array }
    throw DatasetError(
      .invalidLabels, array.location, "row \(row) has no value (its mask is set); drop such rows first")
  }

  /// NaN where there is no value.
  /// - Throws: as `NumericColumn`.
  func floats() throws(DatasetError) -> [Float] {
    var values = try NumericColumn(array).floats()
    for (row, isMissing) in (isMissing ?? []).enumerated() where isMissing { values[row] = .nan }
    return values
  }

  /// The path of the group, where a path leads to a nullable column.
  private static func group(_ path: ObjectPath, in file: HDF5File) throws(DatasetError) -> String? {
    guard case .group(let group) = try file.resolve(path.object) else { return nil }
    if let field = path.field {
      return try self.group(ObjectPath(object: "\(path.object)/\(field)", field: nil), in: file)
    }
    return try isNullable(group) ? path.object : nil
  }

  private static func isNullable(_ group: StoredGroup) throws(DatasetError) -> Bool {
    guard try group.link("values") != nil else { return false }
    return try group.link("mask") != nil
  }

  /// Refuses the values of a nullable column by themselves: fill values would be taken for data.
  /// - Throws: `wrongObject`.
  static func refusePart(_ path: ObjectPath, in file: HDF5File) throws(DatasetError) {
    var parent = ObjectPath.components(path.object)
    guard parent.popLast() == "values", !parent.isEmpty else { return }
    let name = parent.joined(separator: "/")
    guard case .group(let group) = try file.resolve(name), try isNullable(group) else { return }
    throw DatasetError(
      .wrongObject, file.location.object(path.text),
      "it is a part of the nullable column '\(name)', and holds fill values where a row has none; name the column itself"
    )
  }
}
