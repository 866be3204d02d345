import Cryptography
import Foundation
import Foundations
import JobSpec
import Protocol

/// What the batches and the noise of a private run are for: the job, its data and what its weights start from.
///
/// The same noise on two different gradients shows their difference, so that both secrets are drawn for one subject alone: a run that is resumed
/// after any of it has changed draws others. The values of the features are known only when they are read; `DataDigest` compares them.
struct NoiseSubject: Encodable {
  /// `job.resolved.yaml` without where the job is sent and what is asked of an audit.
  private let job: String
  /// As the trainer gets it, without what is drawn from the run's key: the seed, and the size of the largest batch.
  private let description: JobDescription
  private let clipNorm: Double
  private let noiseMultiplier: Double
  private let data: DataDigest
  /// With the fingerprint of the checkpoint.
  private let shape: DataShape
  /// The owner's public key (z85): fresh weights, and the order of the rows' slots, are drawn from its secret half and `train.seed`.
  private let owner: String

  init(_ prepared: PreparedJob, _ privacy: JobPrivacy) {
    var description = prepared.description
    description.privacy = nil
    description.batch = prepared.plan.expectedBatch
    self.description = description
    job = prepared.job.auditedYAML
    clipNorm = privacy.target.clipNorm
    noiseMultiplier = privacy.noiseMultiplier
    data = DataDigest(prepared, features: nil)
    shape = prepared.shape.data
    owner = prepared.secret.ownerKey
  }

  /// SHA-256 of the subject as JSON with sorted keys; hexadecimal.
  ///
  /// - Throws: `OwnerError.run` for a job that is not to be encoded.
  func digest() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let bytes = try? encoder.encode(self) else {
      throw OwnerError.run("the job cannot be written down, so that no noise can be drawn for it")
    }
    return SHA256.hash(bytes).bytes.hexadecimal
  }
}
