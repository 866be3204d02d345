internal import Tensors

/// How a run's keys were expanded from its master key: kept with the run, because another kernel of the library that multiplies gives keys
/// that differ in their last bits.
package struct KeyExpansionRecord: Sendable, Equatable, Codable {
  /// Of the rules by which keys are drawn. 1: orthogonal keys by products in the job's format, with OpenBLAS.
  package let version: Int
  /// The kernel of OpenBLAS that multiplied: "SkylakeX".
  package let kernel: String

  package static let presentVersion = 1

  package init(version: Int = presentVersion, kernel: String = OpenBLAS.kernelName) {
    self.version = version
    self.kernel = kernel
  }

  /// What the owner should know before the keys are expanded anew here; nil when they will have the same bits.
  ///
  /// - Throws: `MaskingError.keyExpansion` for keys of a version that this program does not know.
  package func notice(here present: KeyExpansionRecord = KeyExpansionRecord()) throws(MaskingError) -> String? {
    guard version == present.version else { throw .keyExpansion(version: version) }
    if kernel == present.kernel { return nil }
    return
      "the run's keys were made with OpenBLAS's kernel \(kernel), and are made again with \(present.kernel) here: they agree to rounding, "
      + "not to the bit (OPENBLAS_CORETYPE=\(kernel) gives the same bits where the processor can run it)"
  }
}
