/// Names and metadata keys of checkpoint files.
enum CheckpointFormat {
  static let format = "training checkpoint"
  static let version = "2"
  static let optimizerPrefix = "optimizer."

  static let formatKey = "format"
  static let versionKey = "version"
  static let contentKey = "content"
  static let stepKey = "step"
  static let jobKey = "job_digest"
  static let frozenKey = "frozen_xxh64"
  static let bestStepKey = "best_step"
  static let bestEpochKey = "best_epoch"
  static let bestMetricKey = "best_metric"
  static let hashKey = "xxh64"

  static func isReserved(_ name: String) -> Bool {
    name.hasPrefix(optimizerPrefix) || name == SafetensorsHeader.metadataName
  }
}
