package import Tensors

/// What a trainer saves so that a killed run goes on bit for bit: masked weights, optimizer state and where it stood.
///
/// One safetensors file: parameters under their own names, optimizer state under `optimizer.`, the best weights so far
/// under `best.`; the rest in its metadata, with a hash over all of it.
package struct TrainingCheckpoint<Element: TensorElement>: Sendable, Equatable {
  /// Steps that are done.
  package var step: Int
  /// The digest of the job it belongs to, lower-case hexadecimal; compared as text.
  package var jobDigest: String
  package var parameters: NamedTensors<Element>
  package var optimizerState: NamedTensors<Element>
  /// The parameters after the best epoch, where the job keeps them and an epoch has ended.
  package var best: NamedTensors<Element>?
  package var bestEpoch: Int?
  package var bestMetric: Double?

  package init(
    step: Int, jobDigest: String, parameters: NamedTensors<Element>, optimizerState: NamedTensors<Element>,
    best: NamedTensors<Element>? = nil, bestEpoch: Int? = nil, bestMetric: Double? = nil
  ) {
    self.step = step
    self.jobDigest = jobDigest
    self.parameters = parameters
    self.optimizerState = optimizerState
    self.best = best
    self.bestEpoch = bestEpoch
    self.bestMetric = bestMetric
  }

  /// Writes the file atomically, readable by its owner only.
  ///
  /// - Throws: `.system`, of kind `.exhausted` on a full disk; the file of that name, if any, is then as it was.
  package func write(to path: String) throws(CheckpointError) {
    guard step >= 0 else { throw .checkpoint(path: path, .negativeStep) }
    for name in parameters.names where CheckpointFormat.isReserved(name) {
      throw .checkpoint(path: path, .reservedName(name))
    }
    var metadata = CheckpointFormat.metadata(
      step: step, jobDigest: jobDigest, hasBest: best != nil, bestEpoch: bestEpoch, bestMetric: bestMetric)
    metadata[CheckpointFormat.hashKey] = contentHash(metadata)
    let tensors =
      parameters.map { SafetensorsTensor($0.name, $0.tensor) }
      + optimizerState.map { SafetensorsTensor(CheckpointFormat.optimizerPrefix + $0.name, $0.tensor) }
      + (best ?? NamedTensors()).map { SafetensorsTensor(CheckpointFormat.bestPrefix + $0.name, $0.tensor) }
    try SafetensorsFile.write(tensors, metadata: metadata, to: path, mode: 0o600)
  }

  /// Over the metadata and every tensor's name, shape and bytes.
  func contentHash(_ metadata: [String: String]) -> String {
    var hash = ContentHash()
    for (key, text) in metadata.sorted(by: { $0.key < $1.key }) where key != CheckpointFormat.hashKey {
      hash.update("\(key)=\(text)\n")
    }
    for group in [parameters, optimizerState, best ?? NamedTensors()] {
      for (name, tensor) in group {
        hash.update("\(name)\(tensor.shape)\n")
        tensor.withUnsafeBufferPointer { hash.update(UnsafeRawBufferPointer($0)) }
      }
    }
    return String(hash.value(), radix: 16)
  }
}
