import Models
import Datasets
import Families
package import Foundation
import JobSpec
import Masking
package import Numerics
import Training
import Protocol

/// Masked inference with a finished run's model: the trainer sees masked weights and samples under a key made for this prediction alone.
/// Samples of a job with noise get fresh noise, another each time they are predicted.
package struct Prediction<Element: FloatingElement> {
  private let shape: JobShape
  private let model: ModelDirectory
  private let connection: TrainerConnection<Element>
  private let compute: Compute

  /// - Parameter connection: to a new job id; `job` of the run itself is over.
  package init(
    shape: JobShape, model: ModelDirectory, connection: TrainerConnection<Element>, compute: Compute
  ) {
    self.shape = shape
    self.model = model
    self.connection = connection
    self.compute = compute
  }

  /// Writes `predictions` (class ids, 0/1, or values), `probabilities` (where there are classes) and `outputs`, one row per row of
  /// `source`.
  ///
  /// - Throws: `OwnerError.unfitData` when the source does not fit the model; otherwise as a run.
  package func write(
    source: SampleSource, to file: URL, patience: Duration, progress: (Int, Int) -> Void
  ) throws {
    let master = MasterKey()
    let keys = JobKeys<Element>(
      master: master, plan: shape.keyPlan, compute: compute)
    let specifications = shape.structure.parameters
    let weights = try model.weights(shape)
    let longest = try longest(source)
    let part = rowsPerPart(longest: longest)
    try connection.greet(patience: patience)
    let job = JobSubmission(
      connection: connection, description: try description(rows: source.rows, longest: longest, part: part),
      specifications: specifications)
    _ = try job.send { index in
      try keys.maskParameter(weights.tensor(specifications[index]), specifications[index])
    }
    let window = try job.attachInference()
    try infer(source, keys: keys, master: master, part: part, window: window, to: file, progress: progress)
    try job.endInference()
    try connection.send(.release)
  }

  private func infer(
    _ source: SampleSource, keys: JobKeys<Element>, master: MasterKey, part: Int, window: Int, to file: URL,
    progress: (Int, Int) -> Void
  ) throws {
    let writer = try PredictionWriter<Element>(
      file: file, task: shape.job.task, outputs: shape.data.outputs, tokens: try tokensOfRow(source))
    defer { writer.abandon() }
    var parts = PredictionParts(connection: connection, window: window, outputs: shape.data.outputs)
    var done = 0
    func use(_ rows: [PredictedRow], _ masked: Tensor<Element>) throws {
      try writer.append(rows, outputs: try keys.unmaskOutputs(masked))
      done += rows.count
      progress(done, source.rows)
    }
    let noise = InputNoise(shape.job.masking, master: master, for: .prediction)
    switch source {
    case .features(let features):
      try FeaturePredictionRows<Element>(
        source: features, standardization: try model.readStandardization(), noise: noise, keys: keys
      ).forEachPart(of: part) { rows, delivery in try parts.send(rows, delivery, use: use) }
    case .tokens(let tokens):
      let packer = TokenPacker(
        embedding: try tokens.model.embedding(), keys: keys, master: master, noise: noise,
        settings: tokens.settings, compute: compute)
      try TokenPredictionRows(inputs: tokens, packer: packer)
        .forEachPart(of: part) { rows, delivery in try parts.send(rows, delivery, use: use) }
    }
    try parts.finish(use: use)
    try writer.close()
  }

  private static var maxRowsPerPart: Int { 256 }
  private static var maxSequencesPerPart: Int { 16 }

  /// As many sequences as fit into a message with their outputs: a language model has one output per vocabulary entry for each token.
  private func rowsPerPart(longest: Int?) -> Int {
    guard let longest else { return Self.maxRowsPerPart }
    let outputs = shape.data.outputs * (shape.job.task.isPerToken ? longest : 1)
    let bytes = max(outputs, longest * shape.inputWidth, 1) * MemoryLayout<Element>.size
    return max(1, min(Self.maxSequencesPerPart, WireLimits().tensorBytes / bytes))
  }

  private func tokensOfRow(_ source: SampleSource) throws -> Int? {
    guard shape.job.task.isPerToken, case .tokens(let tokens) = source else { return nil }
    return tokens.source.columns
  }

  private func longest(_ source: SampleSource) throws -> Int? {
    guard case .tokens(let tokens) = source else { return nil }
    return try tokens.scan().longest
  }

  private func description(rows: Int, longest: Int?, part: Int) throws -> JobDescription {
    var graph = shape.graph
    if let longest, let pretrained = shape.pretrained {
      graph = try pretrained.graph(
        outputs: shape.data.outputs, maximumTokens: longest, recomputes: false,
        drawsPooler: shape.data.drawsPooler == true)
    }
    return JobDescription(
      purpose: .inference, graph: graph, optimizer: shape.job.optimizer, schedule: shape.job.schedule,
      lossLocation: .owner, task: nil, epochs: 1, stepsPerEpoch: 1, batch: part, microBatch: part, keep: .last,
      checkpointEverySteps: 1, trainingRows: 0, validationRows: rows)
  }
}

/// Rows of features to predict, masked block by block.
struct FeaturePredictionRows<Element: FloatingElement> {
  let source: any FeatureSource
  let standardization: Standardization?
  /// Nil for a job without.
  let noise: InputNoise?
  let keys: JobKeys<Element>

  func forEachPart(of size: Int, _ body: ([PredictedRow], RowDelivery<Element>) throws -> Void) throws {
    let rows = try source.standardized(by: standardization)
    let reader = BlockReader<Tensor<Float>>(of: rows) { try rows.values(rows: $0) }
    while let block = try reader.next() {
      var values = block.content
      try noise?.add(to: &values, numbers: block.rows.map { Int32($0) }, workers: keys.compute.workers)
      let masked = try keys.maskInputs(values.converted(to: Element.self))
      for first in stride(from: 0, to: masked.rows, by: size) {
        let range = first..<min(masked.rows, first + size)
        let slots = range.map { Int32(block.rows.lowerBound + $0) }
        try body(
          slots.map { _ in PredictedRow() },
          RowDelivery(
            slots: Tensor(slots, shape: [slots.count]), carried: Tensor<UInt8>(repeating: 1, shape: [slots.count]),
            values: masked.slice(rows: range)))
      }
    }
  }
}

/// Token samples to predict, packed part by part.
struct TokenPredictionRows<Element: FloatingElement> {
  let inputs: TokenInputs
  let packer: TokenPacker<Element>

  func forEachPart(of size: Int, _ body: ([PredictedRow], RowDelivery<Element>) throws -> Void) throws {
    var samples: [[Token]] = []
    var first: Int32 = 0
    let orders = packer.orders(pass: 0)
    func flush() throws {
      guard !samples.isEmpty else { return }
      let slots = (0..<samples.count).map { first + Int32($0) }
      let rows = zip(slots, samples).map { slot, sample in
        guard packer.settings.task.isPerToken else { return PredictedRow() }
        let order = orders(sample.count, slot)
        return PredictedRow(outputs: sample.count, columns: order.map { Int(sample[$0].position) })
      }
      try body(rows, try packer.pack(samples, slots: slots, pass: 0))
      first += Int32(samples.count)
      samples = []
    }
    try inputs.forEachSample { _, sample in
      samples.append(sample)
      if samples.count == size { try flush() }
    }
    try flush()
  }
}
