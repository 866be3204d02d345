extension JobSpecification {
  /// The one kind of split the job describes; a random one by default.
  func resolvedSplit() throws(JobSpecError) -> DataSplit {
    let fraction = given(JobFields.validation.path, JobFields.splitSeed.path)
    let modulo = given(JobFields.splitBy.path, JobFields.modulo.path, JobFields.equals.path)
    let rows = given(JobFields.validationRows.path)
    let kinds = [fraction, modulo, rows].compactMap(\.first)
    if kinds.count > 1 {
      throw contradiction(
        kinds[1],
        "`\(kinds[0])` and `\(kinds[1])` are two kinds of split; keep {validation, seed}, {by, modulo, equals} or "
          + "{validation_rows}")
    }
    if let path = self[JobFields.validationRows] { return .rows(path: path) }
    guard modulo.isEmpty else { return try resolvedModulo() }
    return .fraction(validation: try value(JobFields.validation), seed: try value(JobFields.splitSeed))
  }

  private func resolvedModulo() throws(JobSpecError) -> DataSplit {
    let modulo = try required(JobFields.modulo)
    let equals = try required(JobFields.equals)
    guard equals < modulo else {
      throw contradiction(
        JobFields.equals.path, "`data.split.equals` (\(equals)) must be below `data.split.modulo` (\(modulo))")
    }
    return .modulo(by: try required(JobFields.splitBy), modulo: modulo, equals: equals)
  }

  private func given(_ paths: String...) -> [String] {
    paths.filter { written[$0] != nil }
  }
}
