import Architecture

extension JobSpecification {
  /// Fills in every default and checks what must agree.
  ///
  /// - Parameters:
  ///   - jobDirectory: absolute; what paths written in the job are relative to.
  ///   - workingDirectory: absolute; what paths given as overrides are relative to.
  ///   - checkFiles: whether `data.file` and `model.huggingface` must exist.
  /// - Throws: `missingKey`, `contradiction`, `missingFile`, `notARegularFile`, `missingDirectory`, `notADirectory`.
  package func resolved(
    jobDirectory: String, workingDirectory: String, checkFiles: Bool = true
  ) throws(JobSpecError) -> ResolvedJob {
    let places = JobPlaces(job: jobDirectory, working: workingDirectory, mustExist: checkFiles)
    let split = try resolvedSplit()
    let train = try resolvedTraining(split)
    let data = try resolvedData(places, split: split)
    let task = try required(JobFields.task)
    let model = try resolvedModel(places, task: task)
    try checkInputs(data.inputs, task: task)
    return ResolvedJob(
      name: try required(JobFields.name),
      trainer: try value(JobFields.trainer),
      data: data,
      task: task,
      model: model,
      masking: try resolvedMasking(),
      lossLocation: try value(JobFields.lossLocation),
      optimizer: try resolvedOptimizer(),
      schedule: ScheduleDescription(warmup: try value(JobFields.warmup), decay: try value(JobFields.decay)),
      train: train,
      checkpointEverySteps: try value(JobFields.everySteps),
      audit: resolvedAudit())
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

  /// As `train.batch` alone: no trainer takes more.
  private static let mostRowsPerStep = 1_048_576

  private func resolvedTraining(_ split: DataSplit) throws(JobSpecError) -> JobTraining {
    let batch = try value(JobFields.batch)
    let microBatch = self[JobFields.microBatch] ?? min(batch, isTransformer ? 8 : 256)
    guard microBatch <= batch else {
      throw contradiction(
        JobFields.microBatch.path, "`train.micro_batch` (\(microBatch)) must be at most `train.batch` (\(batch))")
    }
    let accumulate = try value(JobFields.accumulate)
    guard batch * accumulate <= Self.mostRowsPerStep else {
      throw contradiction(
        JobFields.accumulate.path,
        "`train.batch` × `train.accumulate` (\(batch * accumulate)) must be at most \(Self.mostRowsPerStep)")
    }
    let keep = try value(JobFields.keep)
    if keep == .best, case .fraction(validation: 0, _) = split {
      throw contradiction(
        JobFields.keep.path, "`train.keep: best` needs validation rows; raise `data.split.validation` above 0")
    }
    return JobTraining(
      epochs: try value(JobFields.epochs), batch: batch, microBatch: microBatch,
      seed: try value(JobFields.seed), keep: keep, accumulate: accumulate,
      recompute: try value(JobFields.recompute))
  }

  /// Refuses a key that was given where it has no meaning: the job would not do what it says.
  func refuse(_ path: String, _ sentence: String) throws(JobSpecError) {
    if written[path] != nil { throw contradiction(path, sentence) }
  }

  func contradiction(_ path: String, _ sentence: String) -> JobSpecError {
    JobSpecError(.contradiction(sentence), at: location(of: path))
  }
}
