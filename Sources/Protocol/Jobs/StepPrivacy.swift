import Foundations
package import Models

/// What makes a job's steps differentially private, as the trainer is told it: it clips each sample's gradient and adds the noise.
///
/// The trainer draws the noise from the owner's seed, so that the owner can repeat it; that it adds the noise at all is a matter of trust.
package struct StepPrivacy: Sendable, Equatable, Codable {
  /// C, above 0: largest norm of one sample's gradient.
  package var clipNorm: Double
  /// B, what the sum of clipped gradients is divided by: the rows that a step has on average. How many it has is said step by step.
  package var expectedBatch: Int
  /// σ, above 0: the noise has deviation σC/B.
  package var noiseMultiplier: Double
  package var seed: NoiseSeed

  package init(clipNorm: Double, expectedBatch: Int, noiseMultiplier: Double, seed: NoiseSeed) {
    self.clipNorm = clipNorm
    self.expectedBatch = expectedBatch
    self.noiseMultiplier = noiseMultiplier
    self.seed = seed
  }
}

/// 256 bits that a job's noise is drawn from: 64 hexadecimal digits in JSON. Not shown by descriptions or reflection. The trainer keeps it with
/// the job, in a file of its own user alone; it is not zeroed in memory.
package struct NoiseSeed: Sendable, Equatable, Codable {
  package static let byteCount = 32

  private let bytes: [UInt8]

  /// Nil unless there are 32 bytes.
  package init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.byteCount else { return nil }
    self.bytes = bytes
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let bytes = [UInt8](hexadecimal: try container.decode(String.self)), let seed = NoiseSeed(bytes) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "not \(2 * Self.byteCount) hexadecimal digits")
    }
    self = seed
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(bytes.hexadecimal)
  }

  package func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try bytes.withUnsafeBytes(body)
  }
}

extension NoiseSeed: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  package var description: String { "noise seed (hidden)" }
  package var debugDescription: String { description }
  package var customMirror: Mirror { Mirror(self, children: []) }
}

/// What the trainer adds to the gradient of every step beside the loss's, before gradients are clipped all together: what a federation's rules ask
/// of a site that trains here.
///
/// Both terms go through keys as weights do, so that they are the same training masked and not.
package struct StepCorrection: Sendable, Equatable, Codable {
  /// μ, above 0, of the term μ(θ − θ₀): a pull towards the job's starting weights (FedProx). Nil for none.
  package var proximalStrength: Double?
  /// Whether a tensor of each trained parameter's shape is added as it is: masked, and uploaded behind the starting weights (SCAFFOLD).
  package var hasOffsets: Bool

  package init(proximalStrength: Double? = nil, hasOffsets: Bool = false) {
    self.proximalStrength = proximalStrength
    self.hasOffsets = hasOffsets
  }
}

extension JobDescription {
  /// What an owner uploads, tensor by tensor: all parameters, and then where the correction has offsets one of each trained parameter.
  ///
  /// - Parameter parameters: of the model.
  package func uploads(_ parameters: [ParameterSpecification]) -> [ParameterSpecification] {
    parameters + (correction?.hasOffsets == true ? parameters.filter(\.isTrained) : [])
  }

  /// Whether it says what an owner of wire version 4 could not.
  var needsVersion5: Bool { correction != nil || schedule.part != nil }
}
