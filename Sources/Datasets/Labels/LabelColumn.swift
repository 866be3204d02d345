package import Numerics

/// What a task expects of its label column.
package enum LabelKind: Sendable, CaseIterable {
  /// One class per row (classification).
  case classes
  /// 0, 1 or missing, any number of columns (multilabel).
  case binary
  /// Finite numbers or missing, any number of columns (regression).
  case real
}

/// The labels of all rows, in memory.
package enum LabelColumn: Sendable, Equatable {
  case classes(ClassLabels)
  /// N × T; NaN means missing.
  case values(Tensor<Float>)
  case survival(SurvivalLabels)

  package var rows: Int {
    switch self {
    case .classes(let labels): labels.ids.count
    case .values(let values): values.rows
    case .survival(let labels): labels.times.count
    }
  }
}

/// One class per row.
package struct ClassLabels: Sendable, Equatable {
  /// Each in `0..<classCount`.
  package let ids: [Int32]
  /// At least 2 and at most the number of rows, or the number of agreed classes; some may have no row.
  package let classCount: Int
  /// The names of the classes by id, where the file has any: strings in sorted byte order, AnnData categories in their stored
  /// order, members of an enumeration in the order of their values.
  package let names: [String]?

  package init(ids: [Int32], classCount: Int, names: [String]?) {
    self.ids = ids
    self.classCount = classCount
    self.names = names
  }
}

extension HDF5File {
  /// Reads the label column of a job into memory.
  /// - Parameters:
  ///   - path: `labels`, `group/labels`, `obs/cell_type` (an AnnData categorical or nullable group), or `obs[bulk_labels]` (a field of a
  ///     compound dataset; integer codes get AnnData's older categories where the file has them).
  ///   - rows: the number of feature rows, which labels must match.
  ///   - classes: names of the classes in order of class id, where they are given and not the file's own: strings and categories are looked
  ///     up among them, and numbers are ids in them. The file may then lack some classes.
  /// - Throws: `DatasetError`: `rowCountMismatch`, `invalidLabels` and `wrongType` where the column does not match the task,
  ///   `tooManyClasses`, `wrongRank`, `empty`, and what opening and reading throw.
  package func readLabels(
    path: String, as kind: LabelKind, rows: Int, classes: [String]? = nil
  ) throws(DatasetError) -> LabelColumn {
    let labels: LabelColumn
    switch kind {
    case .classes: labels = .classes(try readClasses(ObjectPath(path), rows: rows, classes))
    case .binary, .real: labels = .values(try readValues(ObjectPath(path), kind, rows: rows))
    }
    return labels
  }

  private func readClasses(
    _ path: ObjectPath, rows: Int, _ agreed: [String]?
  ) throws(DatasetError) -> ClassLabels {
    let reader = ClassReader(file: self, agreed: agreed)
    if try isCategorical(path) {
      let group = path.text.hasSuffix("]") ? "\(path.object)/\(path.field ?? "")" : path.object
      try checkRows(openArray("\(group)/codes"), rows)
      return try reader.categorical(group)
    }
    let column = try NullableColumn(path, in: self)
    try checkRows(column.array, rows)
    let array = try column.withoutMissing()
    if array.element.isString { return try reader.named(array) }
    if case .enumeration(let members) = array.element, !array.element.isBoolean {
      return try reader.enumerated(array, members)
    }
    let names = CategoryNames(file: self)
    if array.element.isInteger, let categories = try names.path(forCodesAt: path) {
      return try reader.coded(array, names: try names.read(categories))
    }
    return try reader.numbered(array)
  }

  private func readValues(_ path: ObjectPath, _ kind: LabelKind, rows: Int) throws(DatasetError) -> Tensor<Float> {
    let names = CategoryNames(file: self)
    if try isCategorical(path) {
      throw DatasetError(.wrongType, location.object(path.text), "it holds categories, which only classification takes")
    }
    let column = try NullableColumn(path, in: self)
    let array = column.array
    try checkRows(array, rows)
    // Checks the type and the extent before anything is read.
    _ = try NumericColumn(array)
    if array.element.isInteger, try names.path(forCodesAt: path) != nil {
      throw DatasetError(.wrongType, array.location, "it holds codes of categories, which only classification takes")
    }
    let values = try column.floats()
    var observed = false
    for (index, value) in values.enumerated() where !value.isNaN {
      observed = true
      if kind == .binary, value != 0, value != 1 {
        throw DatasetError(
          .invalidLabels, array.location,
          "row \(index / array.columns), column \(index % array.columns) is neither 0, 1 nor NaN, as multilabel needs")
      }
      if value.isInfinite {
        throw DatasetError(
          .invalidLabels, array.location,
          "row \(index / array.columns), column \(index % array.columns) is infinite or beyond the range of 32-bit floats"
        )
      }
    }
    guard observed else { throw DatasetError(.invalidLabels, array.location, "every label is missing (NaN)") }
    return Tensor(values, shape: [array.rows, array.columns])
  }

  /// Whether a path leads to AnnData's present layout of categories.
  private func isCategorical(_ path: ObjectPath) throws(DatasetError) -> Bool {
    guard case .group(let group) = try resolve(path.object) else { return false }
    if let field = path.field { return try isCategorical(ObjectPath(object: "\(path.object)/\(field)", field: nil)) }
    guard try group.link("codes") != nil else { return false }
    return try group.link("categories") != nil
  }

  private func checkRows(_ array: StoredArray, _ rows: Int) throws(DatasetError) {
    guard array.rows == rows || array.rows == 0 else {
      throw DatasetError(.rowCountMismatch, array.location, "it has \(array.rows) rows, and the features have \(rows)")
    }
  }
}
