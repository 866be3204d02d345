import JobSpec
import Architecture
import Checkpoints
package import Datasets
package import Foundation
import Masking
package import Tensors
import Training
import Wire

/// Masked inference with a finished run's model: the trainer sees masked weights and rows under a key made for this prediction alone.
package struct Prediction<Element: FloatingElement> {
  private static var rowsPerPart: Int { 256 }

  private let shape: JobShape
  private let model: ModelDirectory
  private let connection: TrainerConnection<Element>
  private let workers: Workers

  /// - Parameter connection: to a new job id; `job` of the run itself is over.
  package init(
    shape: JobShape, model: ModelDirectory, connection: TrainerConnection<Element>, workers: Workers
  ) {
    self.shape = shape
    self.model = model
    self.connection = connection
    self.workers = workers
  }

  /// Writes `predictions` (class ids, 0/1, or values), `probabilities` (classification and multi-label) and `outputs`, one row a row of
  /// `source`.
  ///
  /// - Throws: `OwnerError.unfitData` when the source has another width than the model; otherwise as a run.
  package func write(
    source: any FeatureSource, to file: URL, patience: Duration, progress: (Int, Int) -> Void
  ) throws {
    guard source.columns == shape.features else {
      throw OwnerError.unfitData("the data has \(source.columns) features, the model takes \(shape.features)")
    }
    let specifications = shape.structure.parameters
    let weights: [Tensor<Element>] = try model.readWeights(specifications)
    let standardization = try model.readStandardization()
    let keys = JobKeys<Element>(
      master: MasterKey(for: JobIdentifier()), plan: shape.keyPlan, workers: workers)
    try connection.greet(patience: patience)
    try connection.send(.submit(description(rows: source.rows)))
    try connection.waitFor { message in
      if case .accepted = message { return true }
      return nil as Bool?
    }
    try WeightTransfer(connection: connection, specifications: specifications)
      .upload(try keys.maskParameters(weights, specifications)) { _, _ in }
    try connection.send(.attach(historySteps: 0))
    let window: Int = try connection.waitFor { message in
      guard case .attached(_, _, let window) = message else { return nil }
      guard window >= 1 else { throw OwnerError.protocolViolation("it takes no rows") }
      return window
    }
    let writer = try PredictionWriter<Element>(file: file, task: shape.job.task, outputs: shape.outputs)
    defer { writer.abandon() }
    let reader = BlockReader(source: source)
    var part = 0
    while let block = try reader.next() {
      var values = block.values
      if let standardization { values.withUnsafeMutableBufferPointer { standardization.apply(to: $0) } }
      let masked = try keys.maskInputs(values.converted(to: Element.self))
      try infer(masked, firstSlot: block.rows.lowerBound, part: &part, window: window) { outputs in
        try writer.append(try keys.unmaskOutputs(outputs))
      }
      progress(block.rows.upperBound, source.rows)
    }
    try writer.close()
    try connection.send(.finish)
    try connection.waitFor { message in
      if case .finished = message { return true }
      return nil as Bool?
    }
    try connection.send(.release)
  }

  private func infer(
    _ rows: Tensor<Element>, firstSlot: Int, part: inout Int, window: Int, use: (Tensor<Element>) throws -> Void
  ) throws {
    var sent = 0
    var answered = 0
    var unanswered = 0
    while answered < rows.rows {
      while sent < rows.rows, unanswered < window {
        let range = sent..<min(rows.rows, sent + Self.rowsPerPart)
        let delivery = RowDelivery(
          slots: Tensor(range.map { Int32(firstSlot + $0) }, shape: [range.count]),
          carried: Tensor<UInt8>(repeating: 1, shape: [range.count]), values: rows.slice(rows: range))
        try connection.send(.evaluate(epoch: 0, part: part, rows: delivery))
        part += 1
        unanswered += 1
        sent = range.upperBound
      }
      let outputs: Tensor<Element> = try connection.waitFor { message in
        if case .evaluated(_, _, let outputs) = message { return outputs }
        return nil
      }
      guard outputs.columns == shape.outputs, answered + outputs.rows <= sent, outputs.allFinite else {
        throw OwnerError.protocolViolation("predictions of shape \(outputs.shape)")
      }
      unanswered -= 1
      answered += outputs.rows
      try use(outputs)
    }
  }

  private func description(rows: Int) -> JobDescription {
    JobDescription(
      purpose: .inference, model: shape.model, optimizer: shape.job.optimizer, schedule: shape.job.schedule,
      lossLocation: .owner, task: nil, epochs: 1, stepsPerEpoch: 1, batch: Self.rowsPerPart,
      microBatch: Self.rowsPerPart, keep: .last, checkpointEverySteps: 1, trainingRows: 0, validationRows: rows)
  }
}
