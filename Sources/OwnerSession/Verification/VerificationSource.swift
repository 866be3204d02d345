import JobSpec
import Wire
package import Datasets
import Foundation
import Masking
package import Tensors
import Training

/// Samples for a verification, masked with whatever keys are given. Their noise, where the job has any, is the same for all keys.
package struct VerificationSource<Element: FloatingElement> {
  struct Batch {
    let values: Tensor<Element>
    let sequences: SequenceLayout?
    let targets: Targets<Element>
  }

  struct Tokens {
    let spool: TokenSpool
    let embedding: TokenEmbedding<Element>
    let settings: TokenSettings
  }

  let prepared: PreparedJob
  let workers: Workers
  private let standardization: Standardization?
  private var noise: InputNoise?
  let tokens: Tokens?

  /// What turns token ids into vectors; nil where a sample is a row of features.
  package var embedding: TokenEmbedding<Element>? { tokens?.embedding }

  /// Reads tokens once into scratch space; rows of features are read as they are asked for.
  package init(_ prepared: PreparedJob, workers: Workers) throws {
    self.prepared = prepared
    self.workers = workers
    noise = InputNoise(prepared.job.masking, master: MasterKey(for: JobIdentifier()), for: .training)
    var standardization: Standardization?
    switch prepared.source {
    case .features(let source):
      if prepared.job.data.standardize {
        var isTraining = [Bool](repeating: false, count: source.rows)
        for row in prepared.split.training { isTraining[row] = true }
        standardization = try .fit(source, isTraining: isTraining)
      }
      tokens = nil
    case .tokens(let inputs):
      let spool = try TokenSpool(prepared, tokens: inputs, scratch: FileManager.default.temporaryDirectory) { _, _ in }
      tokens = Tokens(spool: spool, embedding: try inputs.model.embedding(), settings: inputs.settings)
    }
    self.standardization = standardization
  }

  /// The same samples without the job's noise.
  package var withoutNoise: VerificationSource {
    var clean = self
    clean.noise = nil
    return clean
  }

  func observedCount(of slots: ArraySlice<Int32>) throws -> Int {
    if let labels = prepared.labels {
      let targets: Targets<Element> = labels.targets(slots, rowOfSlot: prepared.plan.rowOfSlot)
      return targets.observedCount
    }
    return try tokens.map { try $0.spool.countedTokens(of: slots, $0.settings) } ?? 0
  }

  func batch(
    _ slots: ArraySlice<Int32>, epoch: Int, keys: JobKeys<Element>, master: MasterKey
  ) throws -> Batch {
    guard let tokens else {
      guard case .features(let source) = prepared.source, let labels = prepared.labels else {
        throw OwnerError.unfitJob("the job has neither features nor tokens")
      }
      return Batch(
        values: try keys.maskInputs(noisedRows(slots, source)), sequences: nil,
        targets: labels.targets(slots, rowOfSlot: prepared.plan.rowOfSlot))
    }
    let samples = samples(tokens, keys: keys, master: master)
    let delivery = try samples.delivery(of: slots, pass: epoch)
    return Batch(
      values: delivery.values,
      sequences: SequenceLayout(lengths: delivery.lengths.elements, pooled: delivery.pooled.elements),
      targets: try samples.targets(of: slots, pass: epoch))
  }

  func samples(
    _ tokens: Tokens, keys: JobKeys<Element>, master: MasterKey
  ) -> TokenSamples<Element> {
    TokenSamples(
      spool: tokens.spool,
      packer: TokenPacker(
        embedding: tokens.embedding, keys: keys, master: master, noise: noise, settings: tokens.settings,
        workers: workers),
      labels: prepared.labels, rowOfSlot: prepared.plan.rowOfSlot)
  }

  /// Rows of features as they are masked.
  package func noisedRows(_ slots: ArraySlice<Int32>, _ source: any FeatureSource) throws -> Tensor<Element> {
    var rows = try readRows(slots, source)
    try noise?.add(to: &rows, numbers: Array(slots), workers: workers)
    return rows
  }

  /// Rows of features before noise and masking.
  package func readRows(_ slots: ArraySlice<Int32>, _ source: any FeatureSource) throws -> Tensor<Element> {
    let source = try source.standardized(by: standardization)
    let columns = source.columns
    var values = Tensor<Float>(uninitialized: [slots.count, columns])
    try values.withUnsafeMutableBufferPointer { buffer in
      for (position, slot) in slots.enumerated() {
        let row = Int(prepared.plan.rowOfSlot[Int(slot)])
        try source.read(
          rows: row..<(row + 1),
          into: UnsafeMutableBufferPointer(rebasing: buffer[(position * columns)..<((position + 1) * columns)]))
      }
    }
    return values.converted()
  }
}
