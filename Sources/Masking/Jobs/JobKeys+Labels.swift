internal import Architecture
package import Tensors

/// Labels for a loss computed by the trainer.
extension JobKeys {
  /// Class ids as the trainer's outputs number them. A negative id, of a token that does not count, stays as it is.
  ///
  /// - Throws: `MaskingError.classOutOfRange`; `MaskingError.needsSmallerGroup` when the output key is not a permutation,
  ///   under which a class has no id.
  package func maskClasses(_ classes: [Int32]) throws(MaskingError) -> [Int32] {
    let key = outputKey
    guard classes.allSatisfy({ Int($0) < key.width }) else { throw .classOutOfRange(classes: key.width) }
    guard let masked = key.positions(of: classes) else {
      throw .needsSmallerGroup(
        what: "masking class ids", space: plan.output.space, largest: .permutation, found: key.group)
    }
    return masked
  }

  /// Targets moved or turned as the outputs are; NaN is a missing one and stays missing.
  ///
  /// - Parameter targets: `[n, outputs]`.
  /// - Throws: `MaskingError.shape`; `MaskingError.missingTarget` for a NaN under a rotation.
  package func maskTargets(_ targets: Tensor<Element>) throws(MaskingError) -> Tensor<Element> {
    try check(targets.shape, is: [targets.rows, plan.output.width], "a batch of targets")
    if plan.output.group == .orthogonal, targets.withUnsafeBufferPointer({ $0.contains(where: \.isNaN) }) {
      throw .missingTarget(space: plan.output.space)
    }
    return outputKey.transform(rows: targets, .mask, workers: workers)
  }
}
