import Architecture
import Datasets
import Foundation
import Tensors

/// Turns plaintext outputs into predictions and appends them to an HDF5 file.
struct PredictionWriter<Element: FloatingElement> {
  private let task: LearningTask
  private let writer: HDF5Writer

  init(file: URL, task: LearningTask, outputs count: Int) throws {
    self.task = task
    writer = try HDF5Writer(path: file.path)
    try writer.createMatrix("outputs", columns: count, of: Float.self)
    if task != .regression { try writer.createMatrix("probabilities", columns: count, of: Float.self) }
    if task.hasClasses {
      try writer.createMatrix("predictions", columns: 1, of: Int64.self)
    } else {
      try writer.createMatrix("predictions", columns: count, of: Float.self)
    }
  }

  /// - Parameter logits: [n, outputs], unmasked.
  func append(_ logits: Tensor<Element>) throws {
    let floats = logits.elements.map { Float($0) }
    try writer.append(floats, to: "outputs")
    switch task {
    case .regression: try writer.append(floats, to: "predictions")
    case .multilabel:
      let shares = logits.elements.map { Float(1 / (1 + exp(-Double($0)))) }
      try writer.append(shares, to: "probabilities")
      try writer.append(shares.map { $0 > 0.5 ? Float(1) : 0 }, to: "predictions")
    case .classification, .tokenClassification, .causalLanguageModel:
      var shares: [Float] = []
      var best: [Int64] = []
      for row in 0..<logits.rows {
        let scores = (0..<logits.columns).map { Double(logits[row, $0]) }
        let largest = scores.max() ?? 0
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
