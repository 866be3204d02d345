import Models
import Datasets
import Foundation
import Numerics

/// A sample whose outputs are due.
package struct PredictedRow {
  /// Rows of outputs it has: 1, or its tokens.
  let outputs: Int
  /// Where each of a token sample's outputs belongs in the file's row, in the order sent; empty where a sample has one output.
  let columns: [Int]

  init(outputs: Int = 1, columns: [Int] = []) {
    self.outputs = outputs
    self.columns = columns
  }
}

/// Turns plaintext outputs into predictions and appends them to an HDF5 file.
///
/// Where every token has an output, a row of the file holds those of all L columns: `predictions` L class ids, −1 for padding, and
/// `outputs` and `probabilities` L × classes numbers, NaN for padding.
struct PredictionWriter<Element: FloatingElement> {
  private let task: LearningTask
  private let writer: HDF5Writer
  private let count: Int

  /// - Parameter tokens: L where every token has an output.
  init(file: URL, task: LearningTask, outputs count: Int, tokens: Int?) throws {
    self.task = task
    self.count = count
    let width = count * (tokens ?? 1)
    writer = try HDF5Writer(path: file.path)
    try writer.createMatrix("outputs", columns: width, of: Float.self)
    if task.hasClasses || task == .multilabel {
      try writer.createMatrix("probabilities", columns: width, of: Float.self)
    }
    if task.hasClasses {
      try writer.createMatrix("predictions", columns: tokens ?? 1, of: Int64.self)
    } else {
      try writer.createMatrix("predictions", columns: width, of: Float.self)
    }
  }

  /// Outputs as the file has them, row by row.
  ///
  /// - Parameters:
  ///   - logits: [outputs of all rows, outputs], unmasked.
  ///   - count: outputs.
  ///   - tokens: L where every token has an output.
  static func values(
    _ rows: [PredictedRow], outputs logits: Tensor<Element>, count: Int, tokens: Int?
  ) -> [Float] {
    guard let tokens else { return logits.elements.map { Float($0) } }
    var padded = [Float](repeating: .nan, count: rows.count * tokens * count)
    var next = 0
    for (row, sample) in rows.enumerated() {
      for column in sample.columns {
        for output in 0..<count { padded[(row * tokens + column) * count + output] = Float(logits[next, output]) }
        next += 1
      }
    }
    return padded
  }

  /// - Parameter values: of whole rows, as `values` makes them.
  func append(_ values: [Float]) throws {
    try writer.append(values, to: "outputs")
    switch task {
    case .regression, .survival: try writer.append(values, to: "predictions")
    case .multilabel:
      let shares = values.map { Float(1 / (1 + exp(-Double($0)))) }
      try writer.append(shares, to: "probabilities")
      try writer.append(shares.map { $0 > 0.5 ? Float(1) : 0 }, to: "predictions")
    case .classification, .tokenClassification, .causalLanguageModel:
      var shares: [Float] = []
      var best: [Int64] = []
      shares.reserveCapacity(values.count)
      for row in 0..<values.count / max(1, count) {
        let scores = values[row * count..<(row + 1) * count].map(Double.init)
        guard let largest = scores.max(), largest.isFinite else {
          shares += scores.map { _ in .nan }
          best.append(-1)
          continue
        }
        let weights = scores.map { exp($0 - largest) }
        let total = weights.reduce(0, +)
        shares += weights.map { Float($0 / total) }
        best.append(Int64(scores.firstIndex(of: largest) ?? 0))
      }
      try writer.append(shares, to: "probabilities")
      try writer.append(best, to: "predictions")
    }
  }

  func close() throws {
    try writer.commit()
  }

  /// Leaves no file behind; harmless after `close`.
  func abandon() {
    writer.abandon()
  }
}
