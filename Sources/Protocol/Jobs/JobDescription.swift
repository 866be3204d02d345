package import Models

/// Everything the trainer is told about a job: sizes, kinds and counts. No name, no path, no label, no key.
package struct JobDescription: Sendable, Equatable, Codable {
  package enum Purpose: String, Sendable, Codable {
    case training
    /// Masked inference with uploaded weights; no optimizer, no steps.
    case inference
  }

  package var purpose: Purpose
  package var model: ModelDescription
  package var optimizer: OptimizerDescription
  package var schedule: ScheduleDescription
  package var lossLocation: LossLocation
  /// What the trainer computes the loss of; nil when the owner does, and then the trainer is not told.
  package var task: LearningTask?
  package var epochs: Int
  package var stepsPerEpoch: Int
  /// Rows of an optimizer step, accumulated gradients included.
  package var batch: Int
  package var microBatch: Int
  package var keep: KeepPolicy
  package var checkpointEverySteps: Int
  /// Distinct rows the job sends: those trained on first, then those validated on.
  package var trainingRows: Int
  package var validationRows: Int
  /// Tokens of all rows together where rows are sequences, 0 where they are not: what an upload will take.
  package var totalTokens: Int

  package init(
    purpose: Purpose, model: ModelDescription, optimizer: OptimizerDescription, schedule: ScheduleDescription,
    lossLocation: LossLocation, task: LearningTask?, epochs: Int, stepsPerEpoch: Int, batch: Int, microBatch: Int,
    keep: KeepPolicy, checkpointEverySteps: Int, trainingRows: Int, validationRows: Int, totalTokens: Int = 0
  ) {
    self.purpose = purpose
    self.model = model
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
  }

  /// Steps of the whole run. Call after `validate()`, which bounds the product.
  package var totalSteps: Int { epochs * stepsPerEpoch }
  /// Rows of both kinds.
  package var totalRows: Int { trainingRows + validationRows }
  /// Rows of a step; the last batch of an epoch may be short.
  package func rows(ofStep step: Int) -> Int {
    min(batch, trainingRows - step % stepsPerEpoch * batch)
  }
  /// The most rows of one `evaluate` message: a batch, or a micro-batch where rows are sequences.
  package var evaluationRows: Int { model.maximumTokens == nil ? max(batch, microBatch) : microBatch }
}

extension JobDescription {
  private static let largestWidth = 1 << 24
  private static let largestParameterCount = 1 << 40

  /// Refuses a description whose numbers are outside their ranges, before anything is computed from them.
  ///
  /// - Throws: `WireError.invalidJob` that names the field and its range.
  package func validate() throws(WireError) {
    try validateModel()
    try check("epochs", epochs, 1...1_000_000)
    try check("steps per epoch", stepsPerEpoch, 1...(1 << 32))
    try check("batch", batch, 1...(1 << 20))
    try check("micro-batch", microBatch, 1...batch)
    try check("checkpoint interval", checkpointEverySteps, 1...(1 << 40))
    try validateRows()
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
  }

  /// Slots number the rows as `Int32`. The steps follow from the rows, so they are stated only to be compared; with both bounded, their
  /// product with the epochs is below 2^52.
  private func validateRows() throws(WireError) {
    let most = Int(Int32.max)
    try check("training rows", trainingRows, (purpose == .training ? 1 : 0)...most)
    try check("validation rows", validationRows, 0...(most - trainingRows))
    switch purpose {
    case .training:
      let steps = (trainingRows - 1) / batch + 1
      guard stepsPerEpoch == steps else {
        throw .invalidJob(
          "steps per epoch must be \(steps) for \(trainingRows) rows in batches of \(batch), not \(stepsPerEpoch)")
      }
    case .inference:
      guard trainingRows == 0, epochs == 1, stepsPerEpoch == 1 else {
        throw .invalidJob("inference has no rows to train on, one epoch and one step")
      }
    }
  }

  private func validateModel() throws(WireError) {
    switch model {
    case .mlp(let mlp):
      try check("features", mlp.input.features, 1...Self.largestWidth)
      try check("padding", mlp.input.padding, 0...4096)
      if let adapter = mlp.adapter { try check("adapter width", adapter, 1...Self.largestWidth) }
      try check("hidden layers", mlp.hidden.count, 0...256)
      for width in mlp.hidden { try check("hidden width", width, 1...Self.largestWidth) }
      try check("outputs", mlp.outputs, 1...Self.largestWidth)
      let adapters = mlp.adapter.map { [$0] } ?? []
      try validateParameterCount([mlp.input.width] + adapters + mlp.hidden + [mlp.outputs])
      guard totalTokens == 0 else { throw .invalidJob("rows of a perceptron have no tokens") }
    case .transformer(let transformer):
      try validate(transformer)
      try check("tokens", totalTokens, 0...(1 << 40))
    }
  }

  /// Widths below 2^20 and below 2^10 blocks keep every sum and product of shapes far below 2^63.
  private func validate(_ transformer: TransformerDescription) throws(WireError) {
    let widest = 1 << 20
    try check("width", transformer.width, 1...widest)
    try check("blocks", transformer.blocks, 1...1024)
    try check("heads", transformer.heads, 1...4096)
    try check("key-value heads", transformer.keyValueHeads, 1...transformer.heads)
    guard transformer.heads.isMultiple(of: transformer.keyValueHeads) else {
      throw .invalidJob("key-value heads must divide the heads")
    }
    try check("head width", transformer.headWidth, 1...4096)
    try check("MLP width", transformer.hidden, 1...widest)
    try check("outputs", transformer.head.outputs, 1...Self.largestWidth)
    try check("tokens of a sample", transformer.maximumTokens, 1...widest)
    try check("norm epsilon", transformer.normEpsilon, atLeast: 0)
    if let rotary = transformer.rotary {
      guard transformer.headWidth.isMultiple(of: 2), rotary.frequencies.count == transformer.headWidth / 2,
        rotary.frequencies.allSatisfy(\.isFinite)
      else { throw .invalidJob("rotary frequencies must be half as many as a head is wide, and finite") }
    }
    if let adaptation = transformer.trained.adaptation {
      try check("LoRA rank", adaptation.rank, 1...widest)
      guard adaptation.alpha.isFinite else { throw .invalidJob("LoRA alpha must be finite") }
      try check("LoRA targets", adaptation.targets.count, 1...64)
    }
  }

  /// Bounds weights and biases of consecutive widths together: a few tensors of that size, in bytes, still fit an `Int`.
  private func validateParameterCount(_ widths: [Int]) throws(WireError) {
    var total = 0
    for (inputs, outputs) in zip(widths, widths.dropFirst()) {
      // At most 2^24 · (2^24 + 4097 + 1) a layer, added to at most 2^40.
      total += outputs * (inputs + 1)
      guard total <= Self.largestParameterCount else {
        throw .invalidJob("parameters must be at most \(Self.largestParameterCount)")
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
