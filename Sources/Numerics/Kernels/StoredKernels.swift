/// Kernels over activations of which each is in one of the two formats of a `StoredMatrix`: the kernel for the formats at hand.
///
/// A norm's argument is never narrower than its result, and what is handed on unchanged is stored as it is.
extension StoredMatrix {
  private static func refuse() -> Never {
    preconditionFailure("no kernel reads and writes these formats")
  }

  /// `NormKernels.layerNorm` of these rows.
  package func layerNorm(
    gain: UnsafePointer<Element>, shift: UnsafePointer<Element>, epsilon: Element, into y: StoredMatrix,
    statistics: MatrixView<Element>?
  ) {
    switch (self, y) {
    case (.full(let x), .full(let y)):
      Element.layerNorm(x, gain: gain, shift: shift, epsilon: epsilon, into: y, statistics: statistics)
    case (.full(let x), .narrow(let y)):
      Element.Narrow.layerNorm(full: x, gain: gain, shift: shift, epsilon: epsilon, into: y, statistics: statistics)
    case (.narrow(let x), .narrow(let y)):
      Element.Narrow.layerNorm(x, gain: gain, shift: shift, epsilon: epsilon, into: y, statistics: statistics)
    case (.narrow, .full): Self.refuse()
    }
  }

  /// `NormKernels.layerNormBackward` of this gradient.
  ///
  /// - Parameter xGradient: stored as `x` is; nil if nobody needs it.
  package func layerNormBackward(
    x: StoredMatrix, statistics: MatrixView<Element>, gain: UnsafePointer<Element>, xGradient: StoredMatrix?,
    accumulates: Bool, columnSums: UnsafeMutablePointer<Double>?
  ) {
    switch (self, x) {
    case (.full(let gradient), .full(let x)):
      Element.layerNormBackward(
        gradient, x: x, statistics: statistics, gain: gain, xGradient: xGradient?.full, accumulates: accumulates,
        columnSums: columnSums)
    case (.narrow(let gradient), .full(let x)):
      Element.Narrow.layerNormBackward(
        gradient, full: x, statistics: statistics, gain: gain, xGradient: xGradient?.full, accumulates: accumulates,
        columnSums: columnSums)
    case (.narrow(let gradient), .narrow(let x)):
      Element.Narrow.layerNormBackward(
        gradient, x: x, statistics: statistics, gain: gain, xGradient: xGradient?.narrow, accumulates: accumulates,
        columnSums: columnSums)
    case (.full, .narrow): Self.refuse()
    }
  }

  /// `NormKernels.rootMeanSquareNorm` of these rows.
  package func rootMeanSquareNorm(epsilon: Element, into y: StoredMatrix, scales: MatrixView<Element>?) {
    switch (self, y) {
    case (.full(let x), .full(let y)): Element.rootMeanSquareNorm(x, epsilon: epsilon, into: y, scales: scales)
    case (.full(let x), .narrow(let y)):
      Element.Narrow.rootMeanSquareNorm(full: x, epsilon: epsilon, into: y, scales: scales)
    case (.narrow(let x), .narrow(let y)):
      Element.Narrow.rootMeanSquareNorm(x, epsilon: epsilon, into: y, scales: scales)
    case (.narrow, .full): Self.refuse()
    }
  }

  /// `NormKernels.rootMeanSquareNormBackward` of this gradient.
  ///
  /// - Parameter y: the norm's result, stored as its gradient is.
  package func rootMeanSquareNormBackward(
    y: StoredMatrix, scales: MatrixView<Element>, xGradient: StoredMatrix, accumulates: Bool
  ) {
    switch (self, y, xGradient) {
    case (.full(let gradient), .full(let y), .full(let xGradient)):
      Element.rootMeanSquareNormBackward(gradient, y: y, scales: scales, xGradient: xGradient, accumulates: accumulates)
    case (.narrow(let gradient), .narrow(let y), .full(let xGradient)):
      Element.Narrow.rootMeanSquareNormBackward(
        gradient, y: y, scales: scales, fullGradient: xGradient, accumulates: accumulates)
    case (.narrow(let gradient), .narrow(let y), .narrow(let xGradient)):
      Element.Narrow.rootMeanSquareNormBackward(
        gradient, y: y, scales: scales, xGradient: xGradient, accumulates: accumulates)
    default: Self.refuse()
    }
  }

  /// `NormKernels.averageRows` of these rows into one row, which is stored as they are.
  package func averageRows(into y: StoredMatrix) {
    switch (self, y) {
    case (.full(let x), .full(let y)): Element.averageRows(x, into: y.base)
    case (.narrow(let x), .narrow(let y)): Element.Narrow.averageRows(x, into: y.base)
    default: Self.refuse()
    }
  }

  /// `LayerKernels.copyGradient` of this gradient.
  ///
  /// - Parameter copy: stored as it is.
  package func copyGradient(to copy: StoredMatrix?, accumulates: Bool, columnSums: UnsafeMutablePointer<Double>?) {
    switch (self, copy) {
    case (.full(let gradient), nil):
      Element.copyGradient(gradient, to: nil, accumulates: accumulates, columnSums: columnSums)
    case (.narrow(let gradient), nil):
      Element.Narrow.copyGradient(gradient, to: nil, accumulates: accumulates, columnSums: columnSums)
    case (.full(let gradient), .full(let copy)):
      Element.copyGradient(gradient, to: copy, accumulates: accumulates, columnSums: columnSums)
    case (.narrow(let gradient), .narrow(let copy)):
      Element.Narrow.copyGradient(gradient, to: copy, accumulates: accumulates, columnSums: columnSums)
    default: Self.refuse()
    }
  }

  /// `LayerKernels.activateBackward` of this gradient.
  ///
  /// - Parameter kept: stored as it is.
  package func activateBackward(
    _ function: ElementwiseFunction, kept: StoredMatrix?, columnSums: UnsafeMutablePointer<Double>?
  ) {
    switch self {
    case .full(let gradient):
      Element.activateBackward(function, gradient, kept: kept?.full, columnSums: columnSums)
    case .narrow(let gradient):
      Element.Narrow.activateBackward(function, gradient, kept: kept?.narrow, columnSums: columnSums)
    }
  }

  /// Row `row` = factor · row `source` of `other`, which is stored alike, or that more.
  package func writeScaled(
    _ factor: Element, row source: Int, of other: StoredMatrix, intoRow row: Int, accumulates: Bool
  ) {
    switch (self, other) {
    case (.full(let y), .full(let x)):
      Element.writeScaled(
        y.columns, factor, x.base + source * x.stride, into: y.base + row * y.stride, accumulates: accumulates)
    case (.narrow(let y), .narrow(let x)):
      Element.Narrow.writeScaled(
        y.columns, factor, x.base + source * x.stride, into: y.base + row * y.stride, accumulates: accumulates)
    default: Self.refuse()
    }
  }
}
