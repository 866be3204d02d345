import Foundation
import Models
import Numerics
import Testing

@testable import Training

/// Training runs that PyTorch made in float64 (Fixtures/write_fixtures.py).
struct Trajectories: Decodable {
  struct Run: Decodable, Sendable, CustomStringConvertible {
    let name: String
    let kind: OptimizerDescription.Kind
    let learningRate: Double
    let momentum: Double
    let nesterov: Bool
    let weightDecay: Double
    let clipNorm: Double?
    let warmup: Double
    let decay: ScheduleDescription.Decay
    let activation: Activation
    let initial: [[Double]]
    let final: [[Double]]
    let losses: [Double]
    let norms: [Double]

    var description: String { name }

    var optimizer: OptimizerDescription {
      OptimizerDescription(
        kind: kind, learningRate: learningRate, momentum: momentum, nesterov: nesterov, weightDecay: weightDecay,
        clipNorm: clipNorm)
    }
  }

  let features: Int
  let hidden: Int
  let outputs: Int
  let rows: Int
  let steps: Int
  let inputs: [[Double]]
  let targets: [[Double]]
  let runs: [Run]

  func model(_ run: Run, padding: Int) throws -> ModelGraph {
    try .perceptron(
      input: HomogeneousColumns(features: features, padding: padding), hidden: [hidden], activation: run.activation,
      outputs: outputs)
  }

  /// [W | b | 0], weight, bias from PyTorch's weight, bias, weight, bias.
  func parameters<Element: FloatingElement>(_ values: [[Double]], padding: Int) -> [Tensor<Element>] {
    let width = features + 1 + padding
    let zeros = Array(repeating: 0.0, count: padding)
    var first: [Double] = []
    for row in 0..<hidden {
      first += values[0][row * features..<(row + 1) * features]
      first.append(values[1][row])
      first += zeros
    }
    return [
      Tensor(first.map { Element($0) }, shape: [hidden, width]),
      Tensor(values[2].map { Element($0) }, shape: [outputs, hidden]),
      Tensor(values[3].map { Element($0) }, shape: [outputs]),
    ]
  }

  func engine<Element: FloatingElement>(
    _ run: Run, padding: Int, threads: Int = 2, _: Element.Type
  ) throws -> TrainingEngine<Element> {
    try TrainingEngine(
      model: model(run, padding: padding), optimizer: run.optimizer,
      schedule: ScheduleDescription(warmup: run.warmup, decay: run.decay), totalSteps: steps, batchRows: rows,
      compute: Compute(threads: threads), parameters: parameters(run.initial, padding: padding))
  }

  /// Runs forward over the step's rows in parts of `part` rows; the outputs.
  func forward<Element: FloatingElement>(
    _ engine: TrainingEngine<Element>, step: Int, padding: Int, part: Int
  ) throws -> [Tensor<Element>] {
    try engine.beginBatch(rows: rows)
    let width = features + 1 + padding
    return try stride(from: 0, to: rows, by: part).map { start in
      let range = start..<min(rows, start + part)
      return try engine.forward(rows: range) { input in
        for (index, row) in range.enumerated() {
          for column in 0..<width {
            let value = column < features ? inputs[step][row * features + column] : (column == features ? 1 : 0)
            input[index * width + column] = Element(value)
          }
        }
      }
    }
  }

  func targets<Element: FloatingElement>(step: Int) -> Targets<Element> {
    .values(Tensor(targets[step].map { Element($0) }, shape: [rows, outputs]))
  }
}

/// Reads a JSON file that a script beside it wrote.
enum Fixture {
  static func read<Value: Decodable>(_ name: String, as type: Value.Type) throws -> Value {
    let url = try #require(Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures"))
    return try JSONDecoder().decode(type, from: Data(contentsOf: url))
  }
}
