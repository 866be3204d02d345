import Models

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
    let task = try required(JobFields.task)
    let train = try resolvedTraining(split, task: task)
    let data = try resolvedData(places, split: split, task: task)
    let model = try resolvedModel(places, task: task)
    try checkInputs(data.inputs, task: task, isTransformer: isTransformer)
    try checkSurvival(task, batch: train.batch, microBatch: train.microBatch)
    let (loss, optimizer) = (try value(JobFields.lossLocation), try resolvedOptimizer())
    let privacy = try resolvedJobPrivacy(
      task: task, loss: loss, standardizes: data.standardize, train: train, optimizer: optimizer)
    return ResolvedJob(
      name: try required(JobFields.name),
      trainer: try value(JobFields.trainer),
      data: data,
      task: task,
      model: model,
      masking: try resolvedMasking(),
      lossLocation: loss,
      optimizer: optimizer,
      schedule: ScheduleDescription(warmup: try value(JobFields.warmup), decay: try value(JobFields.decay)),
      train: train,
      checkpointEverySteps: try value(JobFields.everySteps),
      privacy: privacy,
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
  private static let maxRowsPerStep = 1_048_576

  private func resolvedTraining(_ split: DataSplit, task: LearningTask) throws(JobSpecError) -> JobTraining {
    let (batch, microBatch) = try resolvedBatch(task)
    let accumulate = try value(JobFields.accumulate)
    guard batch * accumulate <= Self.maxRowsPerStep else {
      throw contradiction(
        JobFields.accumulate.path,
        "`train.batch` × `train.accumulate` (\(batch * accumulate)) must be at most \(Self.maxRowsPerStep)")
    }
    let keep = try value(JobFields.keep)
    if keep == .best, case .fraction(validation: 0, _) = split {
      throw contradiction(
        JobFields.keep.path, "`train.keep: best` needs validation rows; raise `data.split.validation` above 0")
    }
    return JobTraining(
      epochs: try value(JobFields.epochs), batch: batch, microBatch: microBatch,
      seed: try value(JobFields.seed), keep: keep, accumulate: accumulate,
      recompute: try value(JobFields.recompute), precision: try value(JobFields.precision))
  }

  /// Rows a batch and rows a part of one.
  func resolvedBatch(_ task: LearningTask) throws(JobSpecError) -> (batch: Int, microBatch: Int) {
    let batch = try value(JobFields.batch)
    let microBatch = self[JobFields.microBatch] ?? (task == .survival ? batch : min(batch, isTransformer ? 8 : 256))
    guard microBatch <= batch else {
      throw contradiction(
        JobFields.microBatch.path, "`train.micro_batch` (\(microBatch)) must be at most `train.batch` (\(batch))")
    }
    return (batch, microBatch)
  }

  /// Refuses a key that was given where it has no meaning: the job would not do what it says.
  func refuse(_ path: String, _ sentence: String) throws(JobSpecError) {
    if written[path] != nil { throw contradiction(path, sentence) }
  }

  func contradiction(_ path: String, _ sentence: String) -> JobSpecError {
    JobSpecError(.contradiction(sentence), at: location(of: path))
  }
}

extension JobSpecification {
  /// A setting that the chosen update rule would ignore is refused: the job would not do what it says.
  func resolvedOptimizer() throws(JobSpecError) -> OptimizerDescription {
    let kind = try value(JobFields.optimizer)
    let (name, traits) = (kind.rawValue, kind.traits)
    if traits.momentum == nil {
      try refuse(JobFields.momentum.path, "\(name) has no momentum setting; delete `optimizer.momentum`")
    }
    switch traits.nesterov {
    case .setting: break
    case .always:
      try refuse(JobFields.nesterov.path, "\(name) always takes the Nesterov form; delete `optimizer.nesterov`")
    case .never: try refuse(JobFields.nesterov.path, "\(name) has no Nesterov form; delete `optimizer.nesterov`")
    }
    let momentum = self[JobFields.momentum] ?? traits.momentum ?? 0
    let nesterov = try value(JobFields.nesterov)
    if nesterov, momentum == 0 {
      throw contradiction(JobFields.nesterov.path, "`optimizer.nesterov` needs `optimizer.momentum` above 0")
    }
    return OptimizerDescription(
      kind: kind, learningRate: try required(JobFields.learningRate), momentum: momentum, nesterov: nesterov,
      weightDecay: try value(JobFields.weightDecay), clipNorm: try value(JobFields.clipNorm))
  }
}

extension JobSpecification {
  /// What is masked how, and whether the owner said what it must say of a pretrained model.
  func resolvedMasking() throws(JobSpecError) -> MaskingDescription {
    let strength = try value(JobFields.strength)
    let adapterWidth = try resolvedAdapter()
    if isTransformer, self[JobFields.baseModel] == nil, strength == .rotation || strength == .permutation {
      throw JobSpecError(
        .missingKey(
          JobFields.baseModel.path,
          meaning:
            "under `masking.strength: \(strength.rawValue)` say whether the trainer can have the pretrained weights. "
            + "`public`: it can (they are published, or known to it), and can then work out the residual key from the masked "
            + "weights and with it every token; `private`: only you have them."),
        at: SourceLocation(source: source))
    }
    return MaskingDescription(
      strength: strength, padding: self[JobFields.padding] ?? (isTransformer || adapterWidth != nil ? 0 : 1),
      exact: try value(JobFields.exact), shuffleTokens: self[JobFields.shuffleTokens],
      baseModel: self[JobFields.baseModel], adapterWidth: adapterWidth, noise: self[JobFields.noise])
  }

  /// The bounds that an audit must keep; nil where none is given.
  func resolvedAudit() -> AuditGate? {
    let gate = AuditGate(
      knownRowsMin: self[JobFields.knownRowsMin], spectralRecoveryMax: self[JobFields.spectralRecoveryMax],
      sourceSeparationMax: self[JobFields.sourceSeparationMax], linkageMax: self[JobFields.linkageMax],
      keyErrorMin: self[JobFields.keyErrorMin], tokenRecoveryMax: self[JobFields.tokenRecoveryMax],
      labelInformationMax: self[JobFields.labelInformationMax], matchingMax: self[JobFields.matchingMax],
      membershipMax: self[JobFields.membershipMax], repeatedQuestionsMax: self[JobFields.repeatedQuestionsMax],
      copiesErrorMin: self[JobFields.copiesErrorMin], cacheMax: self[JobFields.cacheMax])
    return gate == AuditGate() ? nil : gate
  }

  private func resolvedAdapter() throws(JobSpecError) -> Int? {
    guard let width = self[JobFields.adapterWidth] else { return nil }
    if isTransformer {
      throw contradiction(
        JobFields.adapterWidth.path,
        "`masking.adapter` is for `model.mlp`: the token vectors of a transformer are its residual stream, which the pretrained "
          + "weights read at every block, so that a layer before it would hide nothing; delete it")
    }
    if self[JobFields.padding] ?? 0 > 0 {
      throw contradiction(
        JobFields.padding.path,
        "`masking.padding` cannot be combined with `masking.adapter`: its zero columns would show through the adapter's weights; "
          + "delete it")
    }
    return width
  }
}
