import CKernels

/// The elementwise passes of a layer. Each reads and writes its block once.
package protocol LayerKernels: TensorElement {
  /// y = f(y + bias) in place.
  ///
  /// `bias`, if any, has `y.columns` entries; `argument`, if any, has y's shape and receives y + bias.
  static func activate(
    _ function: ElementwiseFunction, _ y: MatrixView<Self>, bias: UnsafePointer<Self>?, argument: MatrixView<Self>?)

  /// gradient = gradient · f′ in place.
  ///
  /// `kept` has the gradient's shape: f's argument where `derivativeNeedsArgument`, its result otherwise; nil for the
  /// identity. `columnSums`, if any, has `gradient.columns` entries and receives the new gradient summed over rows (in
  /// double), which is the gradient of the bias.
  static func activateBackward(
    _ function: ElementwiseFunction, _ gradient: MatrixView<Self>, kept: MatrixView<Self>?,
    columnSums: UnsafeMutablePointer<Self>?)
}

extension Float: LayerKernels {
  package static func activate(
    _ function: ElementwiseFunction, _ y: MatrixView<Float>, bias: UnsafePointer<Float>?, argument: MatrixView<Float>?
  ) {
    ckernels_activate_float(
      function.code, y.rows, y.columns, y.base, y.stride, bias, argument?.base, argument?.stride ?? 0)
  }

  package static func activateBackward(
    _ function: ElementwiseFunction, _ gradient: MatrixView<Float>, kept: MatrixView<Float>?,
    columnSums: UnsafeMutablePointer<Float>?
  ) {
    // Every function but the identity reads what it kept.
    guard function == .identity || kept != nil else { return }
    ckernels_activate_backward_float(
      function.code, gradient.rows, gradient.columns, gradient.base, gradient.stride, kept?.base, kept?.stride ?? 0,
      columnSums)
  }
}

extension Double: LayerKernels {
  package static func activate(
    _ function: ElementwiseFunction, _ y: MatrixView<Double>, bias: UnsafePointer<Double>?,
    argument: MatrixView<Double>?
  ) {
    ckernels_activate_double(
      function.code, y.rows, y.columns, y.base, y.stride, bias, argument?.base, argument?.stride ?? 0)
  }

  package static func activateBackward(
    _ function: ElementwiseFunction, _ gradient: MatrixView<Double>, kept: MatrixView<Double>?,
    columnSums: UnsafeMutablePointer<Double>?
  ) {
    // Every function but the identity reads what it kept.
    guard function == .identity || kept != nil else { return }
    ckernels_activate_backward_double(
      function.code, gradient.rows, gradient.columns, gradient.base, gradient.stride, kept?.base, kept?.stride ?? 0,
      columnSums)
  }
}
