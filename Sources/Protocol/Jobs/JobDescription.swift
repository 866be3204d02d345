package import Models

/// Everything the trainer is told about a job: sizes, kinds and counts. No name, no path, no label, no key.
///
/// As JSON in messages and in the trainer's store. A key that is added needs a new `WireVersion`.
package struct JobDescription: Sendable, Equatable, Codable {
  package enum Purpose: String, Sendable, Codable {
    case training
    /// Masked inference with uploaded weights; no optimizer, no steps.
    case inference
    /// Masked weights that are kept for the questions of a deployment's clients; no optimizer, no steps. `batch` and `microBatch` are the most
    /// rows, or sequences, of one question.
    case hosting
  }

  package var purpose: Purpose
  package var graph: ModelGraph
  package var optimizer: OptimizerDescription
  package var schedule: ScheduleDescription
  package var lossLocation: LossLocation
  /// What the trainer computes the loss of; nil when the owner does, and then the trainer is not told.
  package var task: LearningTask?
  package var epochs: Int
  package var stepsPerEpoch: Int
  /// Rows of an optimizer step, accumulated gradients included; with `privacy` the most that one may have.
  package var batch: Int
  package var microBatch: Int
  package var keep: KeepPolicy
  package var checkpointEverySteps: Int
  /// Distinct rows the job sends: those trained on first, then those validated on.
  package var trainingRows: Int
  package var validationRows: Int
  /// Tokens of all rows together where rows are sequences, 0 where they are not: the size of an upload.
  package var totalTokens: Int
  /// Nil where a step's gradient is that of its batch's mean.
  package var privacy: StepPrivacy?
  /// Nil where nothing is added to a step's gradient but the noise of `privacy`.
  package var correction: StepCorrection?
  /// Nil for float32, which owners of before version 6 did not state.
  private var statedPrecision: TrainingPrecision?

  private enum CodingKeys: String, CodingKey {
    case purpose, graph, optimizer, schedule, lossLocation, task, epochs, stepsPerEpoch, batch, microBatch, keep,
      checkpointEverySteps, trainingRows, validationRows, totalTokens, privacy, correction
    case statedPrecision = "precision"
  }

  package init(
    purpose: Purpose, graph: ModelGraph, optimizer: OptimizerDescription, schedule: ScheduleDescription,
    lossLocation: LossLocation, task: LearningTask?, epochs: Int, stepsPerEpoch: Int, batch: Int, microBatch: Int,
    keep: KeepPolicy, checkpointEverySteps: Int, trainingRows: Int, validationRows: Int, totalTokens: Int = 0,
    privacy: StepPrivacy? = nil, correction: StepCorrection? = nil, precision: TrainingPrecision = .float32
  ) {
    self.purpose = purpose
    self.graph = graph
    self.optimizer = optimizer
    self.schedule = schedule
    self.lossLocation = lossLocation
    self.task = task
    self.epochs = epochs
    self.stepsPerEpoch = stepsPerEpoch
    self.batch = batch
    self.microBatch = microBatch
    self.keep = keep
    self.checkpointEverySteps = checkpointEverySteps
    self.trainingRows = trainingRows
    self.validationRows = validationRows
    self.totalTokens = totalTokens
    self.privacy = privacy
    self.correction = correction
    statedPrecision = precision == .float32 ? nil : precision
  }

  /// In which numbers the trainer computes.
  package var precision: TrainingPrecision { statedPrecision ?? .float32 }
  /// Whether it says what an owner of wire version 5 could not.
  package var needsVersion6: Bool { statedPrecision != nil }

  /// Steps of the whole run. Call after `validate()`, which bounds the product.
  package var totalSteps: Int { epochs * stepsPerEpoch }
  /// Rows of both kinds.
  package var totalRows: Int { trainingRows + validationRows }
  /// Rows of a step; the last batch of an epoch may be short. Nil with `privacy`: each step's number is drawn and said.
  package func rows(ofStep step: Int) -> Int? {
    privacy == nil ? min(batch, trainingRows - step % stepsPerEpoch * batch) : nil
  }
  /// Rows that a step has, or has on average: what an epoch is divided by.
  package var expectedBatch: Int { privacy?.expectedBatch ?? batch }
  /// The most rows of one `evaluate` message: a batch, or a micro-batch where rows are sequences.
  package var evaluationRows: Int { graph.maximumTokens == nil ? max(batch, microBatch) : microBatch }
}

extension JobDescription {
  /// Refuses a description whose numbers are outside their ranges, before anything is computed from them. The graph has been
  /// checked when it was made.
  ///
  /// - Throws: `WireError.invalidJob` that names the field and its range.
  package func validate() throws(WireError) {
    try check("epochs", epochs, 1...TrainingLimits.passes)
    try check("steps per epoch", stepsPerEpoch, 1...(1 << 32))
    try check("batch", batch, 1...(1 << 20))
    try check("micro-batch", microBatch, 1...batch)
    try check("checkpoint interval", checkpointEverySteps, 1...(1 << 40))
    try validateRows()
    try check("tokens", totalTokens, 0...(graph.maximumTokens == nil ? 0 : 1 << 40))
    try check("learning rate", optimizer.learningRate, above: 0)
    try check("momentum", optimizer.momentum, atLeast: 0)
    guard optimizer.momentum < 1 else { throw .invalidJob("momentum must be below 1") }
    try check("weight decay", optimizer.weightDecay, atLeast: 0)
    if let clipNorm = optimizer.clipNorm { try check("clip norm", clipNorm, above: 0) }
    try check("warm-up", schedule.warmup, atLeast: 0)
    guard schedule.warmup <= 1 else { throw .invalidJob("warm-up must be at most 1") }
    if purpose == .training, (lossLocation == .trainer) != (task != nil) {
      throw .invalidJob("a task is stated exactly when the trainer computes the loss")
    }
    if purpose == .hosting, microBatch != batch {
      throw .invalidJob("a question to a hosted model comes as one micro-batch")
    }
    if task == .survival { throw .invalidJob("the loss of a survival is the owner's") }
    if let privacy { try validate(privacy) }
    if let correction { try validate(correction) }
    if let part = schedule.part { try validate(part) }
  }

  private func validate(_ correction: StepCorrection) throws(WireError) {
    if let strength = correction.proximalStrength { try check("the strength of the pull", strength, above: 0) }
    guard correction.proximalStrength != nil || correction.hasOffsets else {
      throw .invalidJob("a correction pulls or adds something")
    }
    guard purpose == .training, lossLocation == .owner else {
      throw .invalidJob("steps are corrected only where the owner computes the loss of a training")
    }
  }

  /// Call after the rows: the job's own steps are then below 2^52.
  private func validate(_ part: SchedulePart) throws(WireError) {
    try check("steps before a schedule's part", part.firstStep, 0...(1 << 52))
    try check("steps of a schedule", part.totalSteps, part.firstStep + totalSteps...(1 << 54))
    guard purpose == .training else { throw .invalidJob("inference has no schedule over several jobs") }
  }

  private func validate(_ privacy: StepPrivacy) throws(WireError) {
    try check("the clip norm of a sample", privacy.clipNorm, above: 0)
    try check("the noise multiplier", privacy.noiseMultiplier, above: 0)
    try check("the expected batch", privacy.expectedBatch, 1...max(1, min(batch, trainingRows)))
    guard purpose == .training, lossLocation == .owner else {
      throw .invalidJob("steps are private only where the owner computes the loss of a training")
    }
    guard optimizer.clipNorm == nil else {
      throw .invalidJob("a job whose samples are clipped one by one has no clip norm of all gradients beside it")
    }
    guard keep == .last else { throw .invalidJob("a private job keeps the last weights") }
    guard !precision.narrowsValues else {
      throw .invalidJob("samples are not clipped by norms of bfloat16 numbers; use float32 or bfloat16x3")
    }
  }

  /// Slots number the rows as `Int32`. The steps follow from the rows, so they are stated only to be compared; with both bounded, their
  /// product with the epochs is below 2^52.
  private func validateRows() throws(WireError) {
    let maxRows = Int(Int32.max)
    try check("training rows", trainingRows, (purpose == .training ? 1 : 0)...maxRows)
    try check("validation rows", validationRows, 0...(maxRows - trainingRows))
    switch purpose {
    case .training:
      guard expectedBatch >= 1 else { throw .invalidJob("the expected batch must be at least 1") }
      let steps = (trainingRows - 1) / expectedBatch + 1
      guard stepsPerEpoch == steps else {
        throw .invalidJob(
          "steps per epoch must be \(steps) for \(trainingRows) rows in batches of \(expectedBatch), not \(stepsPerEpoch)"
        )
      }
    case .inference, .hosting:
      guard trainingRows == 0, epochs == 1, stepsPerEpoch == 1 else {
        throw .invalidJob("inference has no rows to train on, one epoch and one step")
      }
    }
  }

  private func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws(WireError) {
    guard range.contains(value) else {
      throw .invalidJob("\(name) must be \(range.lowerBound) … \(range.upperBound), not \(value)")
    }
  }

  private func check(_ name: String, _ value: Double, above bound: Double) throws(WireError) {
    guard value.isFinite, value > bound else { throw .invalidJob("\(name) must be above \(bound)") }
  }

  private func check(_ name: String, _ value: Double, atLeast bound: Double) throws(WireError) {
    guard value.isFinite, value >= bound else { throw .invalidJob("\(name) must be at least \(bound)") }
  }
}
