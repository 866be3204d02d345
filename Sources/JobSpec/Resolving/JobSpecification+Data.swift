import Architecture

extension JobSpecification {
  func resolvedData(_ places: JobPlaces, split: DataSplit) throws(JobSpecError) -> JobData {
    let file = try resolvedFile(places)
    return JobData(
      file: file, inputs: try resolvedInputs(), labels: self[JobFields.labels], split: split,
      standardize: try value(JobFields.standardize))
  }

  private func resolvedFile(_ places: JobPlaces) throws(JobSpecError) -> String {
    let path = try required(JobFields.file)
    let location = location(of: JobFields.file.path)
    let absolute = places.absolute(path, at: location)
    guard places.mustExist else { return absolute }
    return try JobPath.existingFile(absolute, key: JobFields.file.path, at: location)
  }

  private func resolvedInputs() throws(JobSpecError) -> JobInputs {
    if isTransformer {
      try refuse(
        JobFields.features.path, "`data.features` is for `model.mlp`; `model.huggingface` reads `data.tokens`")
    }
    guard let tokens = self[JobFields.tokens] else {
      for path in [JobFields.mask.path, JobFields.types.path] {
        try refuse(path, "`\(path)` stands beside `data.tokens`, which is missing")
      }
      return .features(try required(isTransformer ? JobFields.tokens : JobFields.features))
    }
    try refuse(JobFields.features.path, "`data.features` and `data.tokens` are two kinds of input; keep one")
    guard try !value(JobFields.standardize) else {
      throw contradiction(
        JobFields.standardize.path, "`data.standardize` is for `data.features`: tokens have no mean; delete it")
    }
    return .tokens(TokenColumns(ids: tokens, mask: self[JobFields.mask], types: self[JobFields.types]))
  }

  /// What the inputs, the model and the task ask of each other.
  func checkInputs(_ inputs: JobInputs, task: LearningTask) throws(JobSpecError) {
    if case .tokens = inputs, !isTransformer {
      throw contradiction(
        JobFields.tokens.path, "`data.tokens` needs `model.huggingface`; `model.mlp` reads `data.features`")
    }
    if task.isPerToken, !isTransformer {
      throw contradiction(
        JobFields.task.path, "`task: \(task.rawValue)` needs `model.huggingface`: rows of `model.mlp` have no tokens")
    }
    if task != .causalLanguageModel { _ = try required(JobFields.labels) }
  }
}
