import Cryptography
package import Federation
import Foundations
import JobSpec
package import Masking
package import Models
package import Numerics
package import OwnerRole

/// The model of a federation as a vector: all trained parameters in the model's order, each row-major, one after the other, masked under the
/// group's key where the charter asks for that. Averages of masked vectors are masks of averages.
package struct GlobalModel<Element: FloatingElement>: Sendable {
  /// Of the trained parameters.
  package let specifications: [ParameterSpecification]
  private let keys: JobKeys<Element>
  /// What the aggregator's rule and the strength leave each space.
  package let keyPlan: KeyPlan

  /// - Parameters:
  ///   - shape: of a site's job.
  ///   - group: nil where the charter masks nothing.
  /// - Throws: `MaskingError` for a model whose spaces cannot be keyed.
  package init(plan: FederationPlan, shape: JobShape, group: GroupKey?, compute: Compute) throws {
    let settings = plan.charter.federation
    specifications = shape.structure.parameters.filter(\.isTrained)
    keyPlan = try KeyResolver.resolve(
      structure: shape.structure,
      masking: MaskingDescription(
        strength: group == nil ? .none : settings.masking.strength, padding: shape.job.masking.padding, exact: true,
        baseModel: settings.masking.baseModel),
      // What the strategy allows is the plan's business; no optimizer works on masked weights here.
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil),
      lossConstraint: LossRules.constraint(
        on: shape.structure.output, task: shape.job.task, location: .owner, labelsMissing: false))
    keys = JobKeys(
      master: group?.master(charter: plan.digest) ?? MasterKey(), plan: keyPlan, compute: compute)
  }

  /// Entries of the vector.
  package var count: Int { specifications.reduce(0) { $0 + $1.shape.reduce(1, *) } }

  /// - Parameter tensors: of the trained parameters in their order: weights, or differences of such.
  package func masked(_ tensors: [Tensor<Element>]) throws -> [Element] {
    var vector: [Element] = []
    vector.reserveCapacity(count)
    for (tensor, specification) in zip(tensors, specifications) {
      let masked = try keys.maskParameter(tensor, specification)
      masked.withUnsafeBufferPointer { vector.append(contentsOf: $0) }
    }
    return vector
  }

  /// The parameters of a masked vector of `count` entries.
  package func unmasked(_ vector: ArraySlice<Element>) throws -> [Tensor<Element>] {
    var start = vector.startIndex
    return try specifications.map { specification in
      let entries = specification.shape.reduce(1, *)
      defer { start += entries }
      return try keys.unmaskParameter(
        Tensor(Array(vector[start..<start + entries]), shape: specification.shape), specification)
    }
  }

  /// SHA-256, in hexadecimal, of names and shapes of the trained parameters and of the checkpoint's fingerprint.
  package func digest(checkpoint: String?) -> String {
    var text = specifications.map { "\($0.name) \($0.shape)" }.joined(separator: "\n")
    if let checkpoint { text += "\ncheckpoint \(checkpoint)" }
    return SHA256.hash(Array(text.utf8)).bytes.hexadecimal
  }
}

/// SHA-256 of a model's numbers as they are sent: little-endian 32-bit floats, one after the other.
enum ModelHash {
  static func of(_ vector: [Float]) -> [UInt8] {
    var hash = SHA256()
    vector.withUnsafeBytes { hash.update($0) }
    return hash.finalize().bytes
  }
}
