import Collectives
import Cryptography
import Models
import Numerics
import Protocol
import Training

/// What a job's steps have beside the gradient of a loss, to the engine.
extension JobDescription {
  /// Nil for a job whose gradients are those of a batch's mean.
  ///
  /// - Throws: `TrainingError`; never for a description that was validated.
  func sampleClipping() throws(TrainingError) -> SampleClipping? {
    guard let privacy else { return nil }
    return try SampleClipping(clipNorm: privacy.clipNorm, expectedBatch: Double(privacy.expectedBatch))
  }

  /// What is added to the gradients of a step, the same at every replica: the job's correction, and on top the noise of a private job.
  ///
  /// - Parameter vectors: of the job's correction; nil for a job without.
  /// - Throws: as `sampleClipping`.
  func correction<Element: FloatingElement>(
    _ vectors: CorrectionVectors<Element>?, workers: Workers
  ) throws(TrainingError) -> (any GradientCorrection<Element>)? {
    var parts: [any GradientCorrection<Element>] = []
    if let strength = correction?.proximalStrength, let vectors {
      parts.append(ProximalTerm(strength: strength, origin: vectors.start))
    }
    if correction?.hasOffsets == true, let vectors { parts.append(ControlVariates(difference: vectors.offsets)) }
    if let privacy, let clipping = try sampleClipping() {
      let secret = privacy.seed.withBytes { SecretBuffer(copying: $0) }
      parts.append(
        GaussianNoise<Element>(
          NoiseSource(secret: secret, context: "job"), noiseMultiplier: privacy.noiseMultiplier, clipping: clipping,
          workers: workers))
    }
    return parts.count > 1 ? CombinedCorrection(parts) : parts.first
  }
}

/// The tensors that a job's correction works with, each of a trained parameter's shape: masked as the weights are.
struct CorrectionVectors<Element: FloatingElement>: Sendable {
  /// The trained weights before the first step, where the correction pulls towards them; else none.
  private(set) var start: [Tensor<Element>]
  /// Where the correction has offsets; else none.
  private(set) var offsets: [Tensor<Element>]

  /// Zeros, to be written over.
  ///
  /// - Returns: nil for a job without a correction.
  init?(zerosFor description: JobDescription) {
    guard let correction = description.correction else { return nil }
    let zeros = Model(description.graph).structure.parameters.filter(\.isTrained).map {
      Tensor<Element>(zeros: $0.shape)
    }
    start = correction.proximalStrength == nil ? [] : zeros
    offsets = correction.hasOffsets ? zeros : []
  }

  /// Bytes that they take; nil when the count overflows.
  static func bytesNeeded(_ description: JobDescription, _ model: Model) -> Int? {
    guard let correction = description.correction else { return 0 }
    let each = Shape.sum(
      model.structure.parameters.filter(\.isTrained).map { Shape.byteCount($0.shape, Element.elementType) })
    return Shape.sum([correction.proximalStrength == nil ? 0 : each, correction.hasOffsets ? each : 0])
  }

  /// Lets `body` write each tensor where it stays, in the order in which they are stored.
  mutating func forEachTensor<Failure: Error>(
    _ body: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Void
  ) throws(Failure) {
    for index in start.indices {
      try start[index].withUnsafeMutableBufferPointer { (elements) throws(Failure) in try body(elements) }
    }
    for index in offsets.indices {
      try offsets[index].withUnsafeMutableBufferPointer { (elements) throws(Failure) in try body(elements) }
    }
  }

  /// Gives all ranks these, of rank 0.
  func broadcast(over communicator: any Communicator) throws(CollectiveError) {
    for tensor in start + offsets {
      try tensor.withUnsafeBufferPointer { (elements) throws(CollectiveError) in
        try communicator.broadcast(UnsafeMutableBufferPointer(mutating: elements), from: 0)
      }
    }
  }

  /// Takes those that rank 0 broadcasts.
  mutating func receive(over communicator: any Communicator) throws(CollectiveError) {
    try forEachTensor { (elements) throws(CollectiveError) in try communicator.broadcast(elements, from: 0) }
  }
}
