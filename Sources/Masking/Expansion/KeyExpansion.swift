internal import Cryptography
internal import Models
internal import Numerics

/// Draws the key of one space from the master key: what the labels `job/space/kind` mean.
///
/// Takes no `Compute`: whatever a job multiplies with, its keys are expanded as `KeyExpansionRecord` says.
struct KeyExpansion {
  let master: MasterKey
  let workers: Workers

  func key<Element: FloatingElement>(_ row: KeyPlanRow) -> any SpaceKey<Element> {
    switch (row.group, row.form) {
    case (.trivial, _):
      return IdentityKey(width: row.width)
    case (.orthogonal, .heads(let form)):
      return heads(form, row).orthogonalKey()
    case (_, .heads(let form)):
      return PermutationKey(heads(form, row).table(signed: row.group == .signedPermutation))
    case (.permutation, _):
      return PermutationKey(GatherTable(sources: order(row), factors: nil))
    case (.signedPermutation, _):
      return PermutationKey(GatherTable(sources: order(row), factors: signs(row)))
    case (.orthogonal, _):
      let columns = master.stream(row.space, kind: "orthogonal").substreams()
      return OrthogonalKey(transposed: HaarExpansion(width: row.width, workers: workers).transposedKey(stream: columns))
    }
  }

  private func heads(_ form: HeadsForm, _ row: KeyPlanRow) -> HeadsExpansion {
    HeadsExpansion(master: master, form: form, permutesHeads: row.permutesHeads, workers: workers)
  }

  /// By the label of the space whose order it is.
  private func order(_ row: KeyPlanRow) -> SecretTensor<Int32> {
    let owner = if case .sameOrder(let other) = row.form { SpaceID(other) } else { row.space }
    return SecretTensor(shape: [row.width]) { order in
      for index in order.indices { order[index] = Int32(index) }
      master.stream(owner, kind: "permutation").shuffle(order)
    }
  }

  private func signs<Element: FloatingElement>(_ row: KeyPlanRow) -> SecretTensor<Element> {
    let stream = master.stream(row.space, kind: "signs")
    return SecretTensor(shape: [row.width]) { signs in
      for index in signs.indices { signs[index] = stream.nextInteger(below: 2) == 0 ? 1 : -1 }
    }
  }
}

/// How a run's keys were expanded from its master key: kept with the run, because another kernel of the library that multiplies gives keys
/// that differ in their last bits.
package struct KeyExpansionRecord: Sendable, Equatable, Codable {
  /// Of the rules by which keys are drawn. 1: orthogonal keys by products in the job's format, with OpenBLAS.
  package let version: Int
  /// The kernel of OpenBLAS that multiplied: "SkylakeX".
  package let kernel: String

  package static let currentVersion = 1

  package init(version: Int = currentVersion, kernel: String = OpenBLAS.kernelName) {
    self.version = version
    self.kernel = kernel
  }

  /// A warning for the owner before the keys are expanded again here; nil when they will have the same bits.
  ///
  /// - Throws: `MaskingError.keyExpansion` for keys of a version that this program does not know.
  package func notice(here present: KeyExpansionRecord = KeyExpansionRecord()) throws(MaskingError) -> String? {
    guard version == present.version else { throw .keyExpansion(version: version) }
    guard kernel != present.kernel else { return nil }
    return
      "the run's keys were made with OpenBLAS's kernel \(kernel), and are made again with \(present.kernel) here: they agree to rounding, "
      + "not to the bit (OPENBLAS_CORETYPE=\(kernel) gives the same bits where the processor can run it)"
  }
}
