import CKernels

/// A function that a layer applies to each coordinate of its result.
package enum ElementwiseFunction: Sendable, CaseIterable {
  case identity
  case relu
  /// x Φ(x), Φ the normal distribution function.
  case gelu
  /// x / (1 + exp(−x)).
  case silu
  case tanh
  /// x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).
  case geluTanh

  /// Whether the forward pass computes the derivative, from the function's argument; otherwise its result is enough.
  package var derivativeIsKept: Bool {
    switch self {
    case .gelu, .silu, .geluTanh: true
    case .identity, .relu, .tanh: false
    }
  }

  var code: ckernels_function {
    switch self {
    case .identity: CKERNELS_IDENTITY
    case .relu: CKERNELS_RELU
    case .gelu: CKERNELS_GELU
    case .silu: CKERNELS_SILU
    case .tanh: CKERNELS_TANH
    case .geluTanh: CKERNELS_GELU_TANH
    }
  }
}

extension Workers {
  /// Elements of a piece of an elementwise pass: about 20 µs of work, so that handing it out is cheap in comparison.
  package static let elementsPerPiece = 1 << 16

  /// Calls `body` for consecutive ranges that cover `0..<count`, cut by `count` alone.
  package func performOverElements(_ count: Int, _ body: @Sendable (Range<Int>) -> Void) {
    let size = Self.elementsPerPiece
    perform(pieces: (count + size - 1) / size) { piece in
      body(piece * size..<min(count, (piece + 1) * size))
    }
  }

  /// Calls `body` for consecutive ranges of rows that cover `view`, cut by its shape alone.
  package func performOverRows<Element: TensorElement>(
    _ view: MatrixView<Element>, _ body: @Sendable (Range<Int>) -> Void
  ) {
    performOverRows(view.rows, columns: view.columns, body)
  }

  /// The same of a matrix in either format.
  package func performOverRows<Element: FloatingElement>(
    _ matrix: StoredMatrix<Element>, _ body: @Sendable (Range<Int>) -> Void
  ) {
    performOverRows(matrix.rows, columns: matrix.columns, body)
  }

  private func performOverRows(_ rows: Int, columns: Int, _ body: @Sendable (Range<Int>) -> Void) {
    let height = max(1, Self.elementsPerPiece / 2 / max(1, columns))
    perform(pieces: (rows + height - 1) / height) { piece in
      body(piece * height..<min(rows, (piece + 1) * height))
    }
  }

  /// The sum of what `body` returns for each range of `performOverElements`, added in order.
  package func sumOverElements(_ count: Int, _ body: @Sendable (Range<Int>) -> Double) -> Double {
    let partial = PartialSums(count: (count + Self.elementsPerPiece - 1) / Self.elementsPerPiece)
    performOverElements(count) { range in
      partial[range.lowerBound / Self.elementsPerPiece] = body(range)
    }
    return partial.total
  }

  /// Σ x² over `count` elements.
  package func sumOfSquares<Element: FloatingElement>(_ x: MatrixBuffer<Element>) -> Double {
    let view = x.view
    return sumOverElements(x.count) { range in Element.sumOfSquares(range.count, view.base + range.lowerBound) }
  }

  /// Whether no element is NaN or infinite.
  package func allFinite<Element: FloatingElement>(_ x: Tensor<Element>) -> Bool {
    x.withUnsafeBufferPointer { elements in
      guard let base = elements.baseAddress else { return true }
      return Element.allFinite(elements.count, base)
    }
  }
}

/// Passes over `count` consecutive elements.
package protocol ArrayKernels: TensorElement {
  /// Whether no element is NaN or infinite.
  static func allFinite(_ count: Int, _ x: UnsafePointer<Self>) -> Bool
  /// x ·= factor.
  static func scale(_ count: Int, _ x: UnsafeMutablePointer<Self>, by factor: Self)
  /// y = a·x + b·y.
  static func combine(_ count: Int, _ a: Self, _ x: UnsafePointer<Self>, _ b: Self, _ y: UnsafeMutablePointer<Self>)
  /// sums = Σ over the rows of `partial`, pieces × columns, in order; added to what is there if `accumulates`.
  static func totalColumns(
    pieces: Int, columns: Int, _ partial: UnsafePointer<Double>, stride: Int, into sums: UnsafeMutablePointer<Self>,
    accumulates: Bool)
}

extension Float: ArrayKernels {
  package static func allFinite(_ count: Int, _ x: UnsafePointer<Float>) -> Bool {
    ckernels_all_finite_float(count, x)
  }

  package static func scale(_ count: Int, _ x: UnsafeMutablePointer<Float>, by factor: Float) {
    ckernels_scale_float(count, x, factor)
  }

  package static func combine(
    _ count: Int, _ a: Float, _ x: UnsafePointer<Float>, _ b: Float, _ y: UnsafeMutablePointer<Float>
  ) {
    ckernels_combine_float(count, a, x, b, y)
  }

  package static func totalColumns(
    pieces: Int, columns: Int, _ partial: UnsafePointer<Double>, stride: Int, into sums: UnsafeMutablePointer<Float>,
    accumulates: Bool
  ) {
    ckernels_total_columns_float(pieces, columns, partial, stride, sums, accumulates)
  }
}

extension Double: ArrayKernels {
  package static func allFinite(_ count: Int, _ x: UnsafePointer<Double>) -> Bool {
    ckernels_all_finite_double(count, x)
  }

  package static func scale(_ count: Int, _ x: UnsafeMutablePointer<Double>, by factor: Double) {
    ckernels_scale_double(count, x, factor)
  }

  package static func combine(
    _ count: Int, _ a: Double, _ x: UnsafePointer<Double>, _ b: Double, _ y: UnsafeMutablePointer<Double>
  ) {
    ckernels_combine_double(count, a, x, b, y)
  }

  package static func totalColumns(
    pieces: Int, columns: Int, _ partial: UnsafePointer<Double>, stride: Int, into sums: UnsafeMutablePointer<Double>,
    accumulates: Bool
  ) {
    ckernels_total_columns_double(pieces, columns, partial, stride, sums, accumulates)
  }
}
