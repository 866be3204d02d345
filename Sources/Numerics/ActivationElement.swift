/// A number format in memory, and the one that arithmetic on its numbers is in.
package protocol StoredElement: TensorElement {
  associatedtype Accumulator: FloatingElement
}

/// A format that layers hand on and keep their numbers in: `Float` and `Double` themselves, or `BFloat16`, whose sums are `Float`'s.
package protocol ActivationElement: LayerKernels, NormKernels, RotaryKernels {
  /// The number itself.
  var widened: Accumulator { get }

  static func stored(_ view: MatrixView<Self>) -> StoredMatrix<Accumulator>

  /// The matrix as one of this format; nil where it is stored in another.
  static func view(_ matrix: StoredMatrix<Accumulator>) -> MatrixView<Self>?

  /// `count` numbers rounded to nearest. The memory must not overlap.
  static func round(_ count: Int, _ numbers: UnsafePointer<Accumulator>, into rounded: UnsafeMutablePointer<Self>)

  /// `count` numbers as they are. The memory must not overlap.
  static func widen(_ count: Int, _ numbers: UnsafePointer<Self>, into widened: UnsafeMutablePointer<Accumulator>)

  /// Lets `body` write a matrix in the format of arithmetic: where `view` is, or in other memory, from which it is then rounded into `view`.
  ///
  /// - Parameters:
  ///   - keeping: whether `body` finds what `view` holds; otherwise what it finds is unspecified, and it writes every element.
  ///   - memory: that other memory, for as many elements as `view` has; called where it is needed.
  static func withSums(
    of view: MatrixView<Self>, keeping: Bool, in memory: () -> UnsafeMutablePointer<Accumulator>,
    _ body: (MatrixView<Accumulator>) throws -> Void
  ) rethrows
}

extension ActivationElement where Accumulator == Self {
  package var widened: Self { self }

  package static func stored(_ view: MatrixView<Self>) -> StoredMatrix<Self> { .full(view) }

  package static func view(_ matrix: StoredMatrix<Self>) -> MatrixView<Self>? { matrix.full }

  package static func round(_ count: Int, _ numbers: UnsafePointer<Self>, into rounded: UnsafeMutablePointer<Self>) {
    rounded.update(from: numbers, count: count)
  }

  package static func widen(_ count: Int, _ numbers: UnsafePointer<Self>, into widened: UnsafeMutablePointer<Self>) {
    widened.update(from: numbers, count: count)
  }

  package static func withSums(
    of view: MatrixView<Self>, keeping: Bool, in memory: () -> UnsafeMutablePointer<Self>,
    _ body: (MatrixView<Self>) throws -> Void
  ) rethrows {
    try body(view)
  }
}

extension BFloat16: ActivationElement {
  package typealias Accumulator = Float

  package static func stored(_ view: MatrixView<BFloat16>) -> StoredMatrix<Float> { .narrow(view) }

  package static func view(_ matrix: StoredMatrix<Float>) -> MatrixView<BFloat16>? { matrix.narrow }

  package static func withSums(
    of view: MatrixView<BFloat16>, keeping: Bool, in memory: () -> UnsafeMutablePointer<Float>,
    _ body: (MatrixView<Float>) throws -> Void
  ) rethrows {
    let sums = MatrixView(memory(), rows: view.rows, columns: view.columns)
    if keeping { view.widen(into: sums) }
    try body(sums)
    view.round(sums)
  }
}

extension MatrixView where Element: ActivationElement {
  /// Takes the numbers of a matrix of the same shape, rounded to nearest.
  package func round(_ numbers: MatrixView<Element.Accumulator>) {
    for row in 0..<rows {
      Element.round(columns, numbers.base + row * numbers.stride, into: base + row * stride)
    }
  }

  /// Writes its numbers into a matrix of the same shape.
  package func widen(into numbers: MatrixView<Element.Accumulator>) {
    for row in 0..<rows {
      Element.widen(columns, base + row * stride, into: numbers.base + row * numbers.stride)
    }
  }

  /// A copy of its numbers, as a matrix.
  package var widened: Tensor<Element.Accumulator> {
    var result = Tensor<Element.Accumulator>(uninitialized: [rows, columns])
    result.withUnsafeMutableBufferPointer { target in
      guard let base = target.baseAddress else { return }
      widen(into: MatrixView<Element.Accumulator>(base, rows: rows, columns: columns))
    }
    return result
  }
}
