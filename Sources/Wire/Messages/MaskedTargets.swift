package import Tensors

/// Masked labels for loss at the trainer.
package enum MaskedTargets<Element: FloatingElement>: Sendable, Equatable {
  /// [n] permuted class ids.
  case classes(Tensor<Int32>)
  /// [n, outputs] masked values, NaN where missing.
  case values(Tensor<Element>)

  package var count: Int {
    switch self {
    case .classes(let ids): ids.rows
    case .values(let values): values.rows
    }
  }
}
