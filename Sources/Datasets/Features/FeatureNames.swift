import Foundation

/// What a file calls the columns and rows of its features; nil where it has no names for them.
package struct FeatureNames: Sendable, Equatable {
  package let columns: [String]?
  package let rows: [String]?
}

extension HDF5File {
  /// Looks for names beside the features: data sets `columns`, and `rows` or `ids`, in their group; else the index of AnnData's `var` and
  /// `obs`, for `X`, `raw/X`, `layers/…`, `obsm/…` and columns of `obs`. A list of another length names something else and is passed
  /// over, as is one that is neither of texts nor of integers.
  ///
  /// - Parameters:
  ///   - path: of the features, or of the token ids.
  ///   - rows: of the features.
  ///   - columns: of the features; 0 looks for no names of columns.
  ///   - given: the list of the columns' names, instead of looking for one.
  /// - Throws: `DatasetError` for names that are there and damaged.
  package func readNames(
    features path: String, rows: Int, columns: Int, columnsAt given: String? = nil
  ) throws(DatasetError) -> FeatureNames {
    let place = ObjectPath(path)
    var group = ObjectPath.components(place.object)
    let name = group.popLast() ?? ""
    var columnLists = [Self.joined(group, "columns")]
    var rowLists = [Self.joined(group, "rows"), Self.joined(group, "ids")]
    // AnnData: where `var` and `obs` stand.
    var frames: [String]?
    if name == "X" || name == "obs" { frames = group }
    if let parent = group.last, ["layers", "obsm", "obs"].contains(parent) { frames = group.dropLast() }
    if let frames {
      if name == "X" || group.last == "layers", let list = try indexPath(of: Self.joined(frames, "var")) {
        columnLists.append(list)
      }
      // `raw` has columns of its own and the rows of the whole.
      for owner in [frames, frames.last == "raw" ? frames.dropLast() : frames] {
        if let list = try indexPath(of: Self.joined(Array(owner), "obs")) { rowLists.append(list) }
      }
    }
    if let given { columnLists = [given] }
    return FeatureNames(
      columns: columns > 0 && place.field == nil ? try firstList(columnLists, count: columns) : nil,
      rows: try firstList(rowLists, count: rows))
  }

  private static func joined(_ group: [String], _ name: String) -> String {
    (group + [name]).joined(separator: "/")
  }

  /// Names kept in memory take at most this many bytes.
  private static var maxBytes: Int { 256 << 20 }

  private func firstList(_ paths: [String], count: Int) throws(DatasetError) -> [String]? {
    for path in paths {
      if let names = try unlessUnfit({ () throws(DatasetError) in try self.list(path, count: count) }) { return names }
    }
    return nil
  }

  private func list(_ path: String, count: Int) throws(DatasetError) -> [String]? {
    let array = try openArray(path)
    guard array.shape == [count], count > 0 else { return nil }
    if array.element.isInteger { return try NumericColumn(array).integers().map { String($0) } }
    guard array.element.isString else { return nil }
    var names: [String] = []
    names.reserveCapacity(count)
    var bytes = 0
    try TextColumn(array).forEach { (_, text) throws(DatasetError) in
      bytes += text.count
      guard bytes <= Self.maxBytes else { throw DatasetError(.tooLarge, array.location, "its names are too long") }
      names.append(String(decoding: text, as: UTF8.self))
    }
    return names
  }

  /// The path of a data frame's index, in AnnData's present layout or in the older one of compound datasets.
  private func indexPath(of frame: String) throws(DatasetError) -> String? {
    try unlessUnfit { () throws(DatasetError) in
      switch try self.resolve(frame) {
      case .group(let group):
        let name = try AttributeReader(object: group.handle, location: group.location).text("_index") ?? "_index"
        return "\(frame)/\(name)"
      case .dataset(let dataset):
        guard case .compound(let fields) = dataset.type else { return nil }
        return fields.map(\.name).first { $0 == "index" || $0 == "_index" }.map { "\(frame)[\($0)]" }
      }
    }
  }

  /// Nil where there is nothing, or nothing that could be a list of names.
  private func unlessUnfit<Value>(_ find: () throws(DatasetError) -> Value?) throws(DatasetError) -> Value? {
    do throws(DatasetError) {
      return try find()
    } catch {
      switch error.reason {
      case .damagedFile, .damagedRows, .truncatedFile, .defect: throw error
      default: return nil
      }
    }
  }
}
