import Architecture

extension JobSpecification {
  /// Fills in every default and checks what must agree.
  ///
  /// - Parameters:
  ///   - jobDirectory: absolute; what paths written in the job are relative to.
  ///   - workingDirectory: absolute; what paths given as overrides are relative to.
  ///   - checkFiles: whether `data.file` must exist as a regular file.
  /// - Throws: `missingKey`, `contradiction`, `missingFile`, `notARegularFile`.
  package func resolved(
    jobDirectory: String, workingDirectory: String, checkFiles: Bool = true
  ) throws(JobSpecError) -> ResolvedJob {
    let split = try resolvedSplit()
    let train = try resolvedTraining(split)
    return ResolvedJob(
      name: try required(JobFields.name),
      trainer: try value(JobFields.trainer),
      data: JobData(
        file: try resolvedFile(jobDirectory, workingDirectory, checkFiles),
        features: try required(JobFields.features),
        labels: try required(JobFields.labels),
        split: split,
        standardize: try value(JobFields.standardize)),
      task: try required(JobFields.task),
      model: try resolvedModel(),
      masking: MaskingDescription(
        strength: try value(JobFields.strength), padding: try value(JobFields.padding),
        exact: try value(JobFields.exact)),
      lossLocation: try value(JobFields.lossLocation),
      optimizer: try resolvedOptimizer(),
      schedule: ScheduleDescription(warmup: try value(JobFields.warmup), decay: try value(JobFields.decay)),
      train: train,
      checkpointEverySteps: try value(JobFields.everySteps))
  }

  func required<Value>(_ field: JobField<Value>) throws(JobSpecError) -> Value {
    guard let value = self[field] else {
      throw JobSpecError(
        .missingKey(field.path, meaning: field.description.meaning), at: SourceLocation(source: source))
    }
    return value
  }

  /// The value given or the documented default.
  func value<Value>(_ field: JobField<Value>) throws(JobSpecError) -> Value {
    if let value = self[field] ?? field.fallback { return value }
    return try required(field)
  }

  private func resolvedFile(
    _ jobDirectory: String, _ workingDirectory: String, _ checkFiles: Bool
  ) throws(JobSpecError) -> String {
    let path = try required(JobFields.file)
    let location = location(of: JobFields.file.path)
    let absolute = JobPath.absolute(path, in: location.isOverride ? workingDirectory : jobDirectory)
    guard checkFiles else { return absolute }
    return try JobPath.existingFile(absolute, key: JobFields.file.path, at: location)
  }

  private func resolvedModel() throws(JobSpecError) -> JobModel {
    let isMLP = [JobFields.hidden.path, JobFields.activation.path].contains { written[$0] != nil }
    guard isMLP else {
      throw JobSpecError(
        .missingKey("model", meaning: "which model to train, such as mlp: {hidden: [512, 128], activation: relu}."),
        at: SourceLocation(source: source))
    }
    return .mlp(hidden: try required(JobFields.hidden), activation: try value(JobFields.activation))
  }

  private func resolvedTraining(_ split: DataSplit) throws(JobSpecError) -> JobTraining {
    let batch = try value(JobFields.batch)
    let microBatch = self[JobFields.microBatch] ?? min(batch, 256)
    guard microBatch <= batch else {
      throw contradiction(
        JobFields.microBatch.path, "`train.micro_batch` (\(microBatch)) must be at most `train.batch` (\(batch))")
    }
    let keep = try value(JobFields.keep)
    if keep == .best, case .fraction(validation: 0, _) = split {
      throw contradiction(
        JobFields.keep.path, "`train.keep: best` needs validation rows; raise `data.split.validation` above 0")
    }
    return JobTraining(
      epochs: try value(JobFields.epochs), batch: batch, microBatch: microBatch,
      seed: try value(JobFields.seed), keep: keep)
  }

  func contradiction(_ path: String, _ sentence: String) -> JobSpecError {
    JobSpecError(.contradiction(sentence), at: location(of: path))
  }
}
