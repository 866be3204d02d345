/// How long each row was followed, and whether its event came then.
package struct SurvivalLabels: Sendable, Equatable {
  /// Finite and at least 0.
  package let times: [Double]
  /// False where a row was only seen without the event until its time (censored).
  package let events: [Bool]

  package init(times: [Double], events: [Bool]) {
    self.times = times
    self.events = events
  }
}

extension HDF5File {
  /// Reads the two columns of a survival task into memory.
  /// - Parameters:
  ///   - time: numbers, N or N × 1: the time to the event or to the end of the row's observation, in any unit.
  ///   - event: 1 or true where the event came, 0 or false where not, N or N × 1.
  ///   - rows: the number of feature rows, which both must match.
  /// - Throws: `DatasetError`: `invalidLabels` naming the row where a value is missing or out of its range, and where no row has an event;
  ///   `rowCountMismatch`, `wrongType`, `wrongRank`, `empty`, and what opening and reading throw.
  package func readSurvival(time: String, event: String, rows: Int) throws(DatasetError) -> LabelColumn {
    let times = try readNumbers(time, rows: rows, "a time") { $0.isFinite && $0 >= 0 ? $0 : nil }
    let events = try readNumbers(event, rows: rows, "an event (0 or 1)") { $0 == 0 || $0 == 1 ? $0 == 1 : nil }
    guard events.contains(true) else {
      throw DatasetError(.invalidLabels, location.object(event), "no row has an event: there is nothing to learn from")
    }
    return .survival(SurvivalLabels(times: times, events: events))
  }

  private func readNumbers<Value>(
    _ path: String, rows: Int, _ what: String, _ value: (Double) -> Value?
  ) throws(DatasetError) -> [Value] {
    let array = try NullableColumn(ObjectPath(path), in: self).withoutMissing()
    let column = try NumericColumn(array)
    try NumericColumn.checkSingle(array, "a column of survival times or events")
    guard array.rows == rows else {
      throw DatasetError(.rowCountMismatch, array.location, "it has \(array.rows) rows, and the features have \(rows)")
    }
    var values: [Value] = []
    values.reserveCapacity(rows)
    for (row, number) in try column.doubles().enumerated() {
      guard let value = value(number) else {
        throw DatasetError(.invalidLabels, array.location, "row \(row) is \(number), which is not \(what)")
      }
      values.append(value)
    }
    return values
  }
}
