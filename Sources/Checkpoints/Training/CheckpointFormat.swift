/// Names and metadata keys of a checkpoint file.
enum CheckpointFormat {
  static let format = "training checkpoint"
  static let version = "1"
  static let optimizerPrefix = "optimizer."
  static let bestPrefix = "best."

  static let formatKey = "format"
  static let versionKey = "version"
  static let stepKey = "step"
  static let jobKey = "job_digest"
  static let hasBestKey = "has_best"
  static let bestEpochKey = "best_epoch"
  static let bestMetricKey = "best_metric"
  static let hashKey = "xxh64"

  static func isReserved(_ name: String) -> Bool {
    name.hasPrefix(optimizerPrefix) || name.hasPrefix(bestPrefix) || name == SafetensorsHeader.metadataName
  }

  static func metadata(
    step: Int, jobDigest: String, hasBest: Bool, bestEpoch: Int?, bestMetric: Double?
  ) -> [String: String] {
    var metadata = [
      formatKey: format, versionKey: version, stepKey: "\(step)", jobKey: jobDigest, hasBestKey: "\(hasBest)",
    ]
    if let bestEpoch { metadata[bestEpochKey] = "\(bestEpoch)" }
    // Swift prints the shortest text that reads back as the same number.
    if let bestMetric { metadata[bestMetricKey] = "\(bestMetric)" }
    return metadata
  }
}
