/// What a layer says of how its values are stored where activations are kept in 16 bits. The numbers are places in `Model.values`.
package enum FormatRule: Sendable, Equatable {
  /// In the format of arithmetic, if all who touch the value can take it so: the sums of a residual stream, which every block would round again,
  /// and what norms are taken of.
  case full(Int)
  /// In 16 bits.
  case narrow(Int)
  /// Both alike.
  case alike(Int, Int)
  /// The first in the format of arithmetic if the second is.
  case notNarrower(Int, than: Int)
}

/// Which of a model's values, with their gradients, stay in the format of arithmetic where activations are kept in 16 bits.
///
/// PyTorch's autocast keeps the same ones in single precision; operands of products alone are rounded in either.
struct ActivationFormats: Sendable {
  /// By value.
  let isFull: [Bool]

  init(values: Int, _ rules: [FormatRule]) {
    var isFull = [Bool](repeating: false, count: values)
    for case .full(let value) in rules { isFull[value] = true }
    // A wish goes to those that must be alike …
    Self.settle(&isFull, rules) { rule, isFull in
      switch rule {
      case .alike(let one, let other) where isFull[one] != isFull[other]: (one: one, other: other, isFull: true)
      case .notNarrower(let wide, let value) where isFull[value] && !isFull[wide]: (wide, wide, true)
      default: nil
      }
    }
    // … and falls where one of them cannot have it.
    for case .narrow(let value) in rules { isFull[value] = false }
    Self.settle(&isFull, rules) { rule, isFull in
      switch rule {
      case .alike(let one, let other) where isFull[one] != isFull[other]: (one, other, false)
      case .notNarrower(let wide, let value) where isFull[value] && !isFull[wide]: (value, value, false)
      default: nil
      }
    }
    self.isFull = isFull
  }

  /// Applies changes until there are none: each is of the same kind, so that there are no more than values.
  private static func settle(
    _ isFull: inout [Bool], _ rules: [FormatRule],
    _ change: (FormatRule, [Bool]) -> (one: Int, other: Int, isFull: Bool)?
  ) {
    var hasChanged = true
    while hasChanged {
      hasChanged = false
      // There and back, since a chain of layers may lead either way.
      for rule in rules + rules.reversed() {
        guard let change = change(rule, isFull) else { continue }
        isFull[change.one] = change.isFull
        isFull[change.other] = change.isFull
        hasChanged = true
      }
    }
  }
}
