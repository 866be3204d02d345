import Models
import ArgumentParser
import Numerics
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
    let compute = measurement.compute
    let head = try TrainingSetup(features: 768, padding: 1, hidden: [], outputs: 10, batch: 1024)
    let perceptron = try TrainingSetup(features: 2048, padding: 1, hidden: [512, 128], outputs: 12, batch: 64)
    try Report.write(
      Result(
        threads: compute.workers.threads, headRowsPerSecond: try rowsPerSecond(head, width: 770, classes: 10, compute),
        perceptronRowsPerSecond: try rowsPerSecond(perceptron, width: 2050, classes: 12, compute)))
  }

  private func rowsPerSecond(_ setup: TrainingSetup, width: Int, classes: Int, _ compute: Compute) throws -> Double {
    let engine = try setup.engine(compute)
    let rows = SampleData.uniform([setup.batch, width])
    let targets = Targets<Float>.classes((0..<setup.batch).map { Int32($0 % classes) })
    let steps = 20
    let loss = LossFunction(task: .classification)
    let rates = try measurement.sample {
      let round = try Timing.seconds {
        for _ in 0..<steps {
          try engine.beginBatch(rows: setup.batch)
          let outputs = try engine.forward(rows: 0..<setup.batch) { target in
            rows.withUnsafeBufferPointer { _ = target.update(fromContentsOf: $0) }
          }
          let result = try loss.evaluate(outputs: outputs, targets: targets, normalizer: Double(setup.batch))
          try engine.setOutputGradient(result.gradient, rows: 0..<setup.batch)
          _ = try engine.finishStep()
        }
      }
      return [Double(steps * setup.batch) / round]
    }
    return Timing.median(rates[0])
  }
}
