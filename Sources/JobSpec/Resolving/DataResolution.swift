import Models

extension JobSpecification {
  func resolvedData(_ places: JobPlaces, split: DataSplit, task: LearningTask) throws(JobSpecError) -> JobData {
    let file = try resolvedFile(places)
    let inputs = try resolvedInputs(isTransformer: isTransformer)
    let standardize = try value(JobFields.standardize)
    if case .tokens = inputs, standardize {
      throw contradiction(
        JobFields.standardize.path, "`data.standardize` is for `data.features`: tokens have no mean; delete it")
    }
    return JobData(
      file: file, inputs: inputs, labels: self[JobFields.labels], survival: try resolvedSurvival(task), split: split,
      standardize: standardize)
  }

  /// - Throws: `contradiction` where only survival has these columns, or survival has `data.labels`.
  func resolvedSurvival(_ task: LearningTask) throws(JobSpecError) -> SurvivalColumns? {
    guard task == .survival else {
      for field in [JobFields.time, JobFields.event] {
        try refuse(field.path, "`\(field.path)` is for `task: survival`; `task: \(task.rawValue)` reads `data.labels`")
      }
      return nil
    }
    try refuse(JobFields.labels.path, "`task: survival` reads `data.time` and `data.event`; delete `data.labels`")
    return SurvivalColumns(time: try required(JobFields.time), event: try required(JobFields.event))
  }

  /// The loss of a survival compares the rows of a batch, in the order of times that the trainer must not learn.
  func checkSurvival(_ task: LearningTask, batch: Int, microBatch: Int) throws(JobSpecError) {
    guard task == .survival else { return }
    guard try value(JobFields.lossLocation) == .owner else {
      throw contradiction(
        JobFields.lossLocation.path,
        "`task: survival` compares the rows of a batch by their times, which stay with the owner; set `loss.where: owner`"
      )
    }
    guard microBatch == batch else {
      throw contradiction(
        JobFields.microBatch.path,
        "`task: survival` takes the loss over whole batches; delete `train.micro_batch`, or set it to `train.batch` "
          + "(\(batch))")
    }
    // Risks are compared, so that a bias of the output changes nothing: its gradient is what rounding leaves of 0. A rule that works
    // coordinate by coordinate makes whole steps of that, which no two programs would make alike.
    let kind = try value(JobFields.optimizer)
    guard kind.traits.largestGroup == .orthogonal else {
      throw contradiction(
        JobFields.optimizer.path,
        "`task: survival` with `optimizer.name: \(kind.rawValue)`: the loss does not depend on the last bias, of whose rounding "
          + "\(kind.rawValue) makes whole steps, so that masked training would not equal plaintext training; use sgd or muon"
      )
    }
  }

  func resolvedFile(_ places: JobPlaces) throws(JobSpecError) -> String {
    let path = try required(JobFields.file)
    let location = location(of: JobFields.file.path)
    let absolute = places.absolute(path, at: location)
    guard places.mustExist else { return absolute }
    return try JobPath.existingFile(absolute, key: JobFields.file.path, at: location)
  }

  func resolvedInputs(isTransformer: Bool) throws(JobSpecError) -> JobInputs {
    if isTransformer {
      try refuse(
        JobFields.features.path, "`data.features` is for `model.mlp`; `model.huggingface` reads `data.tokens`")
    }
    guard let tokens = self[JobFields.tokens] else {
      for path in [JobFields.mask.path, JobFields.types.path] {
        try refuse(path, "`\(path)` needs `data.tokens`, which is missing")
      }
      return .features(try required(isTransformer ? JobFields.tokens : JobFields.features))
    }
    try refuse(JobFields.features.path, "`data.features` and `data.tokens` are two kinds of input; keep one")
    return .tokens(TokenColumns(ids: tokens, mask: self[JobFields.mask], types: self[JobFields.types]))
  }

  /// What the inputs, the model and the task ask of each other.
  func checkInputs(_ inputs: JobInputs, task: LearningTask, isTransformer: Bool) throws(JobSpecError) {
    if case .tokens = inputs, !isTransformer {
      throw contradiction(
        JobFields.tokens.path, "`data.tokens` needs `model.huggingface`; `model.mlp` reads `data.features`")
    }
    try checkTask(task, isTransformer: isTransformer)
    if task != .causalLanguageModel, task != .survival { _ = try required(JobFields.labels) }
  }

  func checkTask(_ task: LearningTask, isTransformer: Bool) throws(JobSpecError) {
    guard task.isPerToken, !isTransformer else { return }
    throw contradiction(
      JobFields.task.path, "`task: \(task.rawValue)` needs `model.huggingface`: rows of `model.mlp` have no tokens")
  }
}

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

extension JobSpecification {
  /// Whether the job names a pretrained transformer.
  var isTransformer: Bool { written[JobFields.huggingFace.path] != nil }

  func resolvedModel(_ places: JobPlaces, task: LearningTask) throws(JobSpecError) -> JobModel {
    let mlp = [JobFields.hidden.path, JobFields.activation.path].first { written[$0] != nil }
    if isTransformer {
      if let mlp { throw contradiction(mlp, "`model.mlp` and `model.huggingface` are two models; keep one") }
      return .huggingFace(try resolvedTransformer(places, task: task))
    }
    for path in Self.transformerKeys where written[path] != nil {
      throw contradiction(path, "`\(path)` needs `model.huggingface`; delete it")
    }
    guard mlp != nil else {
      throw JobSpecError(
        .missingKey(
          "model",
          meaning:
            "which model to train, such as mlp: {hidden: [512, 128], activation: relu}, or huggingface: DIRECTORY."),
        at: SourceLocation(source: source))
    }
    return .mlp(hidden: try required(JobFields.hidden), activation: try value(JobFields.activation))
  }

  /// Keys without a meaning where a row is a sample.
  private static let transformerKeys = [
    JobFields.pool.path, JobFields.classes.path, JobFields.trainedPart.path, JobFields.rank.path,
    JobFields.alpha.path, JobFields.targets.path, JobFields.shuffleTokens.path, JobFields.baseModel.path,
    JobFields.recompute.path,
  ]

  private func resolvedTransformer(
    _ places: JobPlaces, task: LearningTask
  ) throws(JobSpecError) -> HuggingFaceModel {
    let path = JobFields.huggingFace.path
    let location = location(of: path)
    var directory = places.absolute(try required(JobFields.huggingFace), at: location)
    if places.mustExist {
      directory = try JobPath.existingDirectory(directory, holding: "config.json", key: path, at: location)
    }
    if self[JobFields.padding] ?? 0 > 0 {
      throw contradiction(
        JobFields.padding.path,
        "`masking.padding` is for `model.mlp`: the vectors of a transformer's tokens keep "
          + "their width; delete it")
    }
    if task.isPerToken {
      try refuse(
        JobFields.pool.path, "`task: \(task.rawValue)` has an output for every token; delete `model.head.pool`")
    }
    if task == .survival {
      try refuse(JobFields.classes.path, "`task: survival` has one output, the risk; delete `model.head.classes`")
    }
    if task == .causalLanguageModel {
      try refuse(
        JobFields.classes.path,
        "the classes of `task: causal-lm` are the model's vocabulary; delete "
          + "`model.head.classes`")
    }
    return HuggingFaceModel(
      directory: directory, pool: self[JobFields.pool], classes: self[JobFields.classes],
      train: try resolvedTrainedPart())
  }

  private func resolvedTrainedPart() throws(JobSpecError) -> TrainedPart {
    let kind = try value(JobFields.trainedPart)
    if kind == .lora {
      return .lora(
        LowRankAdaptation(
          rank: try value(JobFields.rank), alpha: try value(JobFields.alpha),
          targets: Set(try required(JobFields.targets)).sorted()))
    }
    // Adapters' settings may stay in a job that trains without them: `model.train` alone says which is meant.
    return kind == .head ? .head : .all
  }
}
