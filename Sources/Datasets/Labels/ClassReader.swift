/// Makes class ids of the columns that can name classes: integers, strings, enumerations, AnnData categories.
struct ClassReader {
  let file: HDF5File

  /// AnnData's present layout: a group of `codes` and `categories`.
  func categorical(_ group: String) throws(DatasetError) -> ClassLabels {
    let codes = try file.openArray("\(group)/codes")
    return try coded(codes, names: try CategoryNames(file: file).read("\(group)/categories"))
  }

  /// Codes that index `names`; −1 means missing.
  func coded(_ codes: StoredArray, names: [String]) throws(DatasetError) -> ClassLabels {
    guard codes.element.isInteger else {
      throw DatasetError(.wrongType, codes.location, "it holds \(codes.element); codes of categories are integers")
    }
    let column = try NumericColumn(codes)
    try NumericColumn.checkSingle(codes, "classification")
    var ids: [Int32] = []
    for (row, code) in try column.integers().enumerated() {
      guard code != -1 else {
        throw DatasetError(.invalidLabels, codes.location, "row \(row) has no category (code −1); drop such rows first")
      }
      guard code >= 0, code < names.count else {
        throw DatasetError(
          .invalidLabels, codes.location, "row \(row) has a code outside of its \(names.count) categories")
      }
      ids.append(Int32(truncatingIfNeeded: code))
    }
    return try checked(ids, classCount: names.count, names: names, codes.location)
  }

  /// Integers, or floats that are integers, are the ids themselves: 0 … C − 1.
  func numbered(_ array: StoredArray) throws(DatasetError) -> ClassLabels {
    let column = try NumericColumn(array)
    try NumericColumn.checkSingle(array, "classification")
    var ids: [Int32] = []
    for (row, id) in try column.integers().enumerated() {
      guard id >= 0 else {
        throw DatasetError(.invalidLabels, array.location, "row \(row) is negative; class ids are 0, 1, 2 …")
      }
      guard id < array.rows, id < Int64(Int32.max) else {
        throw tooMany(array.location, "row \(row) has a class id", array.rows)
      }
      ids.append(Int32(truncatingIfNeeded: id))
    }
    return try checked(ids, classCount: Int(ids.max() ?? 0) + 1, names: nil, array.location)
  }

  /// Members of an enumeration, in the order of their values.
  func enumerated(_ array: StoredArray, _ members: [StoredType.Member]) throws(DatasetError) -> ClassLabels {
    try NumericColumn.checkExtent(array)
    try NumericColumn.checkSingle(array, "classification")
    var position: [Int64: Int32] = [:]
    for (index, member) in members.enumerated() { position[member.value] = Int32(truncatingIfNeeded: index) }
    var ids: [Int32] = []
    var values = [Int64](repeating: 0, count: array.rows)
    try array.read(rows: 0..<array.rows, as: .int64, into: &values)
    for (row, value) in values.enumerated() {
      guard let id = position[value] else {
        throw DatasetError(.invalidLabels, array.location, "row \(row) is none of the members of its enumeration")
      }
      ids.append(id)
    }
    return try checked(ids, classCount: members.count, names: members.map(\.name), array.location)
  }

  /// Distinct strings, in the order of their bytes.
  func named(_ array: StoredArray) throws(DatasetError) -> ClassLabels {
    try NumericColumn.checkExtent(array)
    try NumericColumn.checkSingle(array, "classification")
    // Bytes, not `String`, whose equality ignores how a character is composed.
    var found: [[UInt8]: Int32] = [:]
    var ids: [Int32] = []
    try TextColumn(array).forEach { (_, text) throws(DatasetError) in
      if let id = found[text] {
        ids.append(id)
        return
      }
      guard found.count < CategoryNames.most else {
        throw DatasetError(
          .tooManyClasses, array.location, "it holds more than \(CategoryNames.most) different strings")
      }
      ids.append(Int32(truncatingIfNeeded: found.count))
      found[text] = Int32(truncatingIfNeeded: found.count)
    }
    let sorted = found.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    var order = [Int32](repeating: 0, count: sorted.count)
    for (rank, entry) in sorted.enumerated() { order[Int(entry.value)] = Int32(truncatingIfNeeded: rank) }
    let names = sorted.map { String(decoding: $0.key, as: UTF8.self) }
    return try checked(ids.map { order[Int($0)] }, classCount: names.count, names: names, array.location)
  }

  private func checked(
    _ ids: [Int32], classCount: Int, names: [String]?, _ location: DataLocation
  ) throws(DatasetError) -> ClassLabels {
    guard classCount <= ids.count else { throw tooMany(location, "there are \(classCount) classes", ids.count) }
    guard classCount >= 2 else {
      throw DatasetError(.invalidLabels, location, "all rows are of one class; classification needs at least two")
    }
    return ClassLabels(ids: ids, classCount: classCount, names: names)
  }

  private func tooMany(_ location: DataLocation, _ what: String, _ rows: Int) -> DatasetError {
    DatasetError(.tooManyClasses, location, "\(what) beyond the number of rows, \(rows); is this the label column?")
  }
}
