import Tensors

extension TrainingCheckpoint {
  /// Reads a checkpoint and checks that it is whole, of this job, and of this model.
  ///
  /// Sizes are compared with what is expected before any tensor is read, so that memory is bounded by the job.
  ///
  /// - Parameters:
  ///   - jobDigest: the digest the checkpoint must carry.
  ///   - parameters: names and shapes the model has, in the order they are returned in; the best weights, where there are
  ///     any, must have the same.
  ///   - optimizerState: names (without prefix) and shapes the optimizer keeps, in the order they are returned in.
  /// - Throws: `.safetensors` for a file that is cut off or malformed, `.checkpoint` for the rest, `.system`.
  package static func read(
    from path: String, jobDigest: String, parameters: [TensorDescription], optimizerState: [TensorDescription]
  ) throws(CheckpointError) -> TrainingCheckpoint {
    let file = try SafetensorsFile(path: path)
    do throws(TrainingCheckpointProblem) {
      try checkIdentity(file.header.metadata, jobDigest)
      try checkTensors(file, parameters, optimizerState)
    } catch {
      throw .checkpoint(path: path, error)
    }
    let metadata = file.header.metadata
    let checkpoint: TrainingCheckpoint
    do throws(TrainingCheckpointProblem) {
      checkpoint = TrainingCheckpoint(
        step: try number(metadata, CheckpointFormat.stepKey), jobDigest: jobDigest,
        parameters: NamedTensors(), optimizerState: NamedTensors(), best: nil,
        bestEpoch: try optionalNumber(metadata, CheckpointFormat.bestEpochKey),
        bestMetric: try metric(metadata))
    } catch {
      throw .checkpoint(path: path, error)
    }
    return try checkpoint.filled(from: file, path, parameters, optimizerState)
  }

  /// The tensors' part, whose hash is compared last.
  private func filled(
    from file: SafetensorsFile, _ path: String, _ parameters: [TensorDescription],
    _ optimizerState: [TensorDescription]
  ) throws(CheckpointError) -> TrainingCheckpoint {
    var result = self
    result.parameters = try Self.tensors(of: file, parameters, prefix: "")
    result.optimizerState = try Self.tensors(of: file, optimizerState, prefix: CheckpointFormat.optimizerPrefix)
    if Self.hasBest(file.header.metadata) {
      result.best = try Self.tensors(of: file, parameters, prefix: CheckpointFormat.bestPrefix)
    }
    guard result.contentHash(file.header.metadata) == file.header.metadata[CheckpointFormat.hashKey] else {
      throw .checkpoint(path: path, .damaged)
    }
    return result
  }

  private static func tensors(
    of file: SafetensorsFile, _ descriptions: [TensorDescription], prefix: String
  ) throws(CheckpointError) -> NamedTensors<Element> {
    var result = NamedTensors<Element>()
    for description in descriptions {
      result[description.name] = try file.storedTensor(prefix + description.name)
    }
    return result
  }

  private static func checkIdentity(
    _ metadata: [String: String], _ jobDigest: String
  ) throws(TrainingCheckpointProblem) {
    guard metadata[CheckpointFormat.formatKey] == CheckpointFormat.format else { throw .notACheckpoint }
    let version = metadata[CheckpointFormat.versionKey] ?? "none"
    guard version == CheckpointFormat.version else { throw .unsupportedVersion(version.printable) }
    guard metadata[CheckpointFormat.jobKey] == jobDigest else { throw .otherJob }
    let best = metadata[CheckpointFormat.hasBestKey]
    guard best == "true" || best == "false" else { throw .malformedMetadata(key: CheckpointFormat.hasBestKey) }
  }

  private static func checkTensors(
    _ file: SafetensorsFile, _ parameters: [TensorDescription], _ optimizerState: [TensorDescription]
  ) throws(TrainingCheckpointProblem) {
    var expected = parameters.map { ($0.name, $0.shape) }
    expected += optimizerState.map { (CheckpointFormat.optimizerPrefix + $0.name, $0.shape) }
    if hasBest(file.header.metadata) {
      expected += parameters.map { (CheckpointFormat.bestPrefix + $0.name, $0.shape) }
    }
    for (name, shape) in expected {
      guard let entry = file.entry(name) else { throw .missingTensor(name) }
      guard entry.shape == shape else { throw .shape(name: name, expected: shape, found: entry.shape) }
    }
    let names = Set(expected.map(\.0))
    if let other = file.names.first(where: { !names.contains($0) }) { throw .unexpectedTensor(other.printable) }
  }

  private static func hasBest(_ metadata: [String: String]) -> Bool {
    metadata[CheckpointFormat.hasBestKey] == "true"
  }

  private static func number(_ metadata: [String: String], _ key: String) throws(TrainingCheckpointProblem) -> Int {
    guard let value = try optionalNumber(metadata, key) else { throw .malformedMetadata(key: key) }
    return value
  }

  private static func optionalNumber(
    _ metadata: [String: String], _ key: String
  ) throws(TrainingCheckpointProblem) -> Int? {
    guard let text = metadata[key] else { return nil }
    guard let value = Int(text), value >= 0 else { throw .malformedMetadata(key: key) }
    return value
  }

  private static func metric(_ metadata: [String: String]) throws(TrainingCheckpointProblem) -> Double? {
    guard let text = metadata[CheckpointFormat.bestMetricKey] else { return nil }
    guard let value = Double(text) else { throw .malformedMetadata(key: CheckpointFormat.bestMetricKey) }
    return value
  }
}
