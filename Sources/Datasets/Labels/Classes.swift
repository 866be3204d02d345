/// Makes class ids of the columns that can name classes: integers, strings, enumerations, AnnData categories.
struct ClassReader {
  let file: HDF5File
  /// Names of the classes in order of class id, where they are not the file's own.
  let agreed: [String]?

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

  /// Integers, or floats that are integers, are the ids themselves: 0 … C − 1. Where all agreed classes are numbers they are the numbers
  /// meant, in whatever order.
  func numbered(_ array: StoredArray) throws(DatasetError) -> ClassLabels {
    let column = try NumericColumn(array)
    try NumericColumn.checkSingle(array, "classification")
    var ids: [Int32] = []
    if let agreed, let places = Self.numberedPlaces(agreed) {
      for (row, number) in try column.integers().enumerated() {
        guard let place = places[number] else {
          throw DatasetError(
            .invalidLabels, array.location,
            "row \(row) has the label \(number), which is none of the agreed classes: \(StoredType.list(agreed))")
        }
        ids.append(place)
      }
      return ClassLabels(ids: ids, classCount: agreed.count, names: agreed)
    }
    for (row, id) in try column.integers().enumerated() {
      guard id >= 0 else {
        throw DatasetError(.invalidLabels, array.location, "row \(row) is negative; class ids are 0, 1, 2 …")
      }
      guard id < (agreed?.count ?? array.rows), id < Int64(Int32.max) else {
        if let agreed {
          throw DatasetError(
            .invalidLabels, array.location,
            "row \(row) has class id \(id), and there are \(agreed.count) agreed classes")
        }
        throw tooMany(array.location, "row \(row) has a class id", array.rows)
      }
      ids.append(Int32(truncatingIfNeeded: id))
    }
    return try checked(ids, classCount: Int(ids.max() ?? 0) + 1, names: nil, array.location)
  }

  /// The place of each number in a list of names that are all integers, each once; nil for other lists.
  private static func numberedPlaces(_ names: [String]) -> [Int64: Int32]? {
    var places: [Int64: Int32] = [:]
    for (place, name) in names.enumerated() {
      guard let number = Int64(name), places.updateValue(Int32(truncatingIfNeeded: place), forKey: number) == nil else {
        return nil
      }
    }
    return places
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
        throw DatasetError(.invalidLabels, array.location, "row \(row) is not a member of its enumeration")
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
      guard found.count < CategoryNames.maxNames else {
        throw DatasetError(
          .tooManyClasses, array.location, "it holds more than \(CategoryNames.maxNames) different strings")
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
    if let agreed { return try renumbered(ids, names: names, among: agreed, location) }
    guard classCount <= ids.count else { throw tooMany(location, "there are \(classCount) classes", ids.count) }
    guard classCount >= 2 else {
      throw DatasetError(.invalidLabels, location, "all rows are of one class; classification needs at least two")
    }
    return ClassLabels(ids: ids, classCount: classCount, names: names)
  }

  /// Ids as the agreed classes number them.
  private func renumbered(
    _ ids: [Int32], names: [String]?, among agreed: [String], _ location: DataLocation
  ) throws(DatasetError) -> ClassLabels {
    var place: [String: Int32] = [:]
    for (id, name) in agreed.enumerated() { place[name] = Int32(truncatingIfNeeded: id) }
    var renumbered: [Int32] = []
    renumbered.reserveCapacity(ids.count)
    for (row, id) in ids.enumerated() {
      let known = names.map { place[$0[Int(id)]] } ?? (Int(id) < agreed.count ? id : nil)
      guard let known else {
        let label = names.map { "'\($0[Int(id)])'" } ?? "\(id)"
        throw DatasetError(
          .invalidLabels, location,
          "row \(row) has the label \(label), which is none of the agreed classes: \(StoredType.list(agreed))")
      }
      renumbered.append(known)
    }
    return ClassLabels(ids: renumbered, classCount: agreed.count, names: agreed)
  }

  private func tooMany(_ location: DataLocation, _ what: String, _ rows: Int) -> DatasetError {
    DatasetError(.tooManyClasses, location, "\(what) beyond the number of rows, \(rows); is this the label column?")
  }
}

/// Finds and reads AnnData's categories: the names that integer codes mean.
struct CategoryNames {
  /// A softmax over more classes than this is not trained here, and their names would fill memory.
  static let maxNames = 1 << 20

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
      array = try file.openPart("\(path)/values")
    } else {
      array = try file.openArray(path)
    }
    guard array.shape.count <= 1 else {
      throw DatasetError(.wrongRank, array.location, "its shape is \(array.shape); a list of categories has rank 1")
    }
    guard array.rows <= Self.maxNames else {
      throw DatasetError(.tooManyClasses, array.location, "it has more than \(Self.maxNames) categories")
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
