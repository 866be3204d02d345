import Failures

/// What a checkpoint file says beside its tensors.
package struct CheckpointRecord: Sendable, Equatable {
  /// The weights after the best epoch, in a file of their own.
  package struct Best: Sendable, Equatable {
    /// Steps that were done.
    package var step: Int
    package var epoch: Int
    /// Known when the trainer evaluates.
    package var metric: Double?

    package init(step: Int, epoch: Int, metric: Double?) {
      self.step = step
      self.epoch = epoch
      self.metric = metric
    }
  }

  package var content: CheckpointContent
  /// Steps that are done.
  package var step: Int
  /// The digest of the job it belongs to, lower-case hexadecimal; compared as text.
  package var jobDigest: String
  /// Where the job keeps the best weights and an epoch has ended.
  package var best: Best?
  /// The content hash of the job's frozen weights, 16 hexadecimal digits, where it has such.
  package var frozenHash: String?

  package init(
    content: CheckpointContent, step: Int, jobDigest: String, best: Best? = nil, frozenHash: String? = nil
  ) {
    self.content = content
    self.step = step
    self.jobDigest = jobDigest
    self.best = best
    self.frozenHash = frozenHash
  }

  /// Without the hash.
  var metadata: [String: String] {
    var metadata = [
      CheckpointFormat.formatKey: CheckpointFormat.format, CheckpointFormat.versionKey: CheckpointFormat.version,
      CheckpointFormat.contentKey: content.rawValue, CheckpointFormat.stepKey: "\(step)",
      CheckpointFormat.jobKey: jobDigest,
    ]
    metadata[CheckpointFormat.frozenKey] = frozenHash
    if let best {
      metadata[CheckpointFormat.bestStepKey] = "\(best.step)"
      metadata[CheckpointFormat.bestEpochKey] = "\(best.epoch)"
      // Swift prints the shortest text that reads back as the same number.
      metadata[CheckpointFormat.bestMetricKey] = best.metric.map { "\($0)" }
    }
    return metadata
  }

  /// - Throws: `.notACheckpoint`, `.unsupportedVersion`, `.malformedMetadata`.
  init(_ metadata: [String: String]) throws(TrainingCheckpointProblem) {
    guard metadata[CheckpointFormat.formatKey] == CheckpointFormat.format else { throw .notACheckpoint }
    let version = metadata[CheckpointFormat.versionKey] ?? "none"
    guard version == CheckpointFormat.version else { throw .unsupportedVersion(version.printable(limit: 80)) }
    guard let content = metadata[CheckpointFormat.contentKey].flatMap(CheckpointContent.init(rawValue:)) else {
      throw .malformedMetadata(key: CheckpointFormat.contentKey)
    }
    guard let step = try Self.number(metadata, CheckpointFormat.stepKey) else {
      throw .malformedMetadata(key: CheckpointFormat.stepKey)
    }
    self.init(
      content: content, step: step, jobDigest: metadata[CheckpointFormat.jobKey] ?? "",
      best: try Self.best(metadata), frozenHash: metadata[CheckpointFormat.frozenKey])
  }

  private static func best(_ metadata: [String: String]) throws(TrainingCheckpointProblem) -> Best? {
    let epoch = try number(metadata, CheckpointFormat.bestEpochKey)
    guard let step = try number(metadata, CheckpointFormat.bestStepKey) else {
      guard epoch == nil else { throw .malformedMetadata(key: CheckpointFormat.bestStepKey) }
      return nil
    }
    guard let epoch else { throw .malformedMetadata(key: CheckpointFormat.bestEpochKey) }
    var metric: Double?
    if let text = metadata[CheckpointFormat.bestMetricKey] {
      guard let value = Double(text) else { throw .malformedMetadata(key: CheckpointFormat.bestMetricKey) }
      metric = value
    }
    return Best(step: step, epoch: epoch, metric: metric)
  }

  private static func number(
    _ metadata: [String: String], _ key: String
  ) throws(TrainingCheckpointProblem) -> Int? {
    guard let text = metadata[key] else { return nil }
    guard let value = Int(text), value >= 0 else { throw .malformedMetadata(key: key) }
    return value
  }
}
