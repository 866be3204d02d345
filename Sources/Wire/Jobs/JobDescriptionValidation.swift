import Architecture

extension JobDescription {
  private static let largestWidth = 1 << 24
  private static let largestCount = 1 << 40

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
    try check("training rows", trainingRows, (purpose == .training ? 1 : 0)...Self.largestCount)
    try check("validation rows", validationRows, 0...Self.largestCount)
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

  private func validateModel() throws(WireError) {
    switch model {
    case .mlp(let mlp):
      try check("features", mlp.input.features, 1...Self.largestWidth)
      try check("padding", mlp.input.padding, 0...4096)
      try check("hidden layers", mlp.hidden.count, 0...256)
      for width in mlp.hidden { try check("hidden width", width, 1...Self.largestWidth) }
      try check("outputs", mlp.outputs, 1...Self.largestWidth)
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
