import Architecture
import ArgumentParser
import Tensors
import Training

/// Training steps with the loss in this process, at the sizes of the two jobs of `make bench`.
struct StepsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "steps", abstract: "Rows trained a second without any owner: linear head, and the Tox21 model.")

  struct Result: Encodable {
    let threads: Int
    let headRowsPerSecond: Double
    let perceptronRowsPerSecond: Double
  }

  @OptionGroup var measurement: MeasurementOptions

  func run() throws {
    let workers = measurement.workers
    let head = TrainingSetup(features: 768, padding: 1, hidden: [], outputs: 10, batch: 1024)
    let perceptron = TrainingSetup(features: 2048, padding: 1, hidden: [512, 128], outputs: 12, batch: 64)
    try Report.write(
      Result(
        threads: workers.threads, headRowsPerSecond: try rowsPerSecond(head, width: 770, classes: 10, workers),
        perceptronRowsPerSecond: try rowsPerSecond(perceptron, width: 2050, classes: 12, workers)))
  }

  private func rowsPerSecond(_ setup: TrainingSetup, width: Int, classes: Int, _ workers: Workers) throws -> Double {
    let engine = try setup.engine(workers)
    let rows = SampleData.uniform([setup.batch, width])
    let targets = Targets<Float>.classes((0..<setup.batch).map { Int32($0 % classes) })
    let steps = 20
    let loss = LossFunction(task: .classification)
    let rates = try (0...measurement.rounds).map { _ in
      Double(steps * setup.batch)
        / (try Timing.seconds {
          for _ in 0..<steps {
            try engine.beginBatch(rows: setup.batch)
            let outputs = try engine.forward(rows: 0..<setup.batch) { target in
              rows.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
            }
            let result = try loss.evaluate(outputs: outputs, targets: targets, normalizer: Double(setup.batch))
            try engine.setOutputGradient(result.gradient, rows: 0..<setup.batch)
            _ = try engine.finishStep()
          }
        })
    }
    return Timing.median(Array(rates.dropFirst()))
  }
}
