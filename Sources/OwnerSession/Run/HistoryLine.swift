import Foundation
import Wire

/// One line of `history.jsonl`: `kind` is "step" or "evaluation".
struct HistoryLine: Codable {
  var kind: String
  var epoch: Int?
  /// Of a step, its number from 0; of an evaluation, the steps done before it.
  var step: Int
  var loss: Double
  var metrics: [String: Double]?
  var learning_rate: Double?
  var gradient_norm: Double?
  var kept: Bool?
  var seconds: Double

  static func text(for record: ProgressRecord) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let line =
      switch record {
      case .step(let step, let loss, let learningRate, let gradientNorm, let seconds):
        HistoryLine(
          kind: "step", step: step, loss: loss, learning_rate: learningRate, gradient_norm: gradientNorm, seconds: seconds)
      case .evaluation(let epoch, let step, let loss, let metrics, let kept, let seconds):
        HistoryLine(
          kind: "evaluation", epoch: epoch, step: step, loss: loss, metrics: metrics, kept: kept, seconds: seconds)
      }
    // Numbers and short text always encode.
    return String(decoding: (try? encoder.encode(line)) ?? Data("{}".utf8), as: UTF8.self)
  }

  static func record(from text: String) -> ProgressRecord? {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let line = try? decoder.decode(HistoryLine.self, from: Data(text.utf8)) else { return nil }
    switch line.kind {
    case "step":
      return .step(
        step: line.step, loss: line.loss, learningRate: line.learning_rate ?? 0,
        gradientNorm: line.gradient_norm ?? 0, seconds: line.seconds)
    case "evaluation":
      return .evaluation(
        epoch: line.epoch ?? 0, step: line.step, loss: line.loss, metrics: line.metrics ?? [:],
        kept: line.kept ?? false, seconds: line.seconds)
    default: return nil
    }
  }
}
