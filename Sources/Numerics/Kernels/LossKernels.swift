import CKernels

/// Losses over rows of outputs. Each returns the sum of the losses and writes scale · ∂(that sum)/∂outputs.
package protocol LossKernels: TensorElement {
  /// −log softmax(row)[label]. `outputs` and `gradient` are contiguous rows × classes; every label is in 0 ..< classes.
  static func softmaxCrossEntropy(
    rows: Int, classes: Int, outputs: UnsafePointer<Self>, labels: UnsafePointer<Int32>, scale: Self,
    gradient: UnsafeMutablePointer<Self>
  ) -> Double

  /// Binary cross-entropy on logits; a NaN target is a missing one and counts nothing.
  static func binaryCrossEntropy(
    count: Int, outputs: UnsafePointer<Self>, targets: UnsafePointer<Self>, scale: Self,
    gradient: UnsafeMutablePointer<Self>
  ) -> Double

  /// (output − target)²; a NaN target is a missing one and counts nothing.
  static func squaredError(
    count: Int, outputs: UnsafePointer<Self>, targets: UnsafePointer<Self>, scale: Self,
    gradient: UnsafeMutablePointer<Self>
  ) -> Double
}

extension Float: LossKernels {
  package static func softmaxCrossEntropy(
    rows: Int, classes: Int, outputs: UnsafePointer<Float>, labels: UnsafePointer<Int32>, scale: Float,
    gradient: UnsafeMutablePointer<Float>
  ) -> Double {
    ckernels_softmax_cross_entropy_float(rows, classes, outputs, labels, scale, gradient)
  }

  package static func binaryCrossEntropy(
    count: Int, outputs: UnsafePointer<Float>, targets: UnsafePointer<Float>, scale: Float,
    gradient: UnsafeMutablePointer<Float>
  ) -> Double {
    ckernels_binary_cross_entropy_float(count, outputs, targets, scale, gradient)
  }

  package static func squaredError(
    count: Int, outputs: UnsafePointer<Float>, targets: UnsafePointer<Float>, scale: Float,
    gradient: UnsafeMutablePointer<Float>
  ) -> Double {
    ckernels_squared_error_float(count, outputs, targets, scale, gradient)
  }
}

extension Double: LossKernels {
  package static func softmaxCrossEntropy(
    rows: Int, classes: Int, outputs: UnsafePointer<Double>, labels: UnsafePointer<Int32>, scale: Double,
    gradient: UnsafeMutablePointer<Double>
  ) -> Double {
    ckernels_softmax_cross_entropy_double(rows, classes, outputs, labels, scale, gradient)
  }

  package static func binaryCrossEntropy(
    count: Int, outputs: UnsafePointer<Double>, targets: UnsafePointer<Double>, scale: Double,
    gradient: UnsafeMutablePointer<Double>
  ) -> Double {
    ckernels_binary_cross_entropy_double(count, outputs, targets, scale, gradient)
  }

  package static func squaredError(
    count: Int, outputs: UnsafePointer<Double>, targets: UnsafePointer<Double>, scale: Double,
    gradient: UnsafeMutablePointer<Double>
  ) -> Double {
    ckernels_squared_error_double(count, outputs, targets, scale, gradient)
  }
}
