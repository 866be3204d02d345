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
struct PredictionWriter {
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

  /// Whether such a file can be written, before anything is asked for it.
  ///
  /// - Throws: `DatasetError` for rows that are too long for it.
  static func check(file: URL, outputs count: Int, tokens: Int?) throws {
    let (columns, overflow) = count.multipliedReportingOverflow(by: tokens ?? 1)
    try HDF5Writer.checkRow("outputs", columns: overflow ? .max : columns, of: Float.self, path: file.path)
  }

  /// - Parameter values: outputs of whole rows, NaN for padding.
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

  /// Instead of `close`: whether the file is there already, with just these predictions. Leaves no other behind.
  func isWhatIsThere() throws -> Bool {
    try writer.isWhatIsThere()
  }

  /// Leaves no file behind; harmless after `close`.
  func abandon() {
    writer.abandon()
  }
}
