/// Finds and reads AnnData's categories: the names that integer codes stand for.
struct CategoryNames {
  /// A softmax over more classes than this is not trained here, and their names would fill memory.
  static let most = 1 << 20

  let file: HDF5File

  /// The path of the categories of a column of codes; nil when there are none. Older layouts only:
  /// `obs[field]` in a compound dataset has `uns/field_categories`, and `obs/field` has `obs/__categories/field`.
  func path(forCodesAt path: ObjectPath) throws(DatasetError) -> String? {
    if let field = path.field { return try existing("uns/\(field)_categories") }
    var components = ObjectPath.components(path.object)
    guard let name = components.popLast() else { return nil }
    return try existing((components + ["__categories", name]).joined(separator: "/"))
  }

  /// The names, in the stored order: which is that of the codes.
  func read(_ path: String) throws(DatasetError) -> [String] {
    let array: StoredArray
    if case .group(let group) = try file.resolve(path), try group.link("values") != nil {
      // AnnData's nullable arrays keep their texts in `values`; a category is never missing.
      array = try file.openArray("\(path)/values")
    } else {
      array = try file.openArray(path)
    }
    guard array.shape.count <= 1 else {
      throw DatasetError(.wrongRank, array.location, "its shape is \(array.shape); a list of categories has rank 1")
    }
    guard array.rows <= Self.most else {
      throw DatasetError(.tooManyClasses, array.location, "it has more than \(Self.most) categories")
    }
    guard array.rows > 0 else { throw DatasetError(.empty, array.location, "there are no categories") }
    if array.element.isString {
      var names: [String] = []
      try TextColumn(array).forEach { (_, text) throws(DatasetError) in
        names.append(String(decoding: text, as: UTF8.self))
      }
      return names
    }
    if array.element.isBoolean { return try NumericColumn(array).integers().map { $0 == 0 ? "False" : "True" } }
    if array.element.isInteger { return try NumericColumn(array).integers().map { String($0) } }
    return try NumericColumn(array).floats().map { String($0) }
  }

  private func existing(_ path: String) throws(DatasetError) -> String? {
    do throws(DatasetError) {
      _ = try file.resolve(path)
      return path
    } catch {
      if error.reason == .missingObject || error.reason == .wrongObject { return nil }
      throw error
    }
  }
}
