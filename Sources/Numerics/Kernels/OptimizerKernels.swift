import CKernels

/// Update rules over `count` consecutive elements, one pass each; `clip` multiplies the gradient as it is read.
package protocol OptimizerKernels: TensorElement {
  /// torch.optim.SGD. g = clip·gradient + decay·w; buffer = momentum·buffer + g; w −= rate·(buffer, or with Nesterov
  /// g + momentum·buffer). Without a buffer w −= rate·g.
  static func sgd(
    _ count: Int, weights: UnsafeMutablePointer<Self>, gradient: UnsafePointer<Self>,
    buffer: UnsafeMutablePointer<Self>?, clip: Self, rate: Self, momentum: Self, nesterov: Bool, decay: Self)

  /// torch.optim.AdamW. w ·= shrink; m += weight1·(g − m), v = beta2·v + weight2·g² with g = clip·gradient;
  /// w −= stepSize·m / (√v / root + epsilon).
  ///
  /// shrink = 1 − rate·decay, weight1 = 1 − beta1, weight2 = 1 − beta2, stepSize = rate / (1 − beta1ᵗ), root =
  /// √(1 − beta2ᵗ): computed in double by the caller, because 1 − 0.999 in single precision is off by 1e-5 of itself.
  static func adamw(
    _ count: Int, weights: UnsafeMutablePointer<Self>, gradient: UnsafePointer<Self>,
    moment1: UnsafeMutablePointer<Self>, moment2: UnsafeMutablePointer<Self>, clip: Self, shrink: Self, weight1: Self,
    beta2: Self, weight2: Self, epsilon: Self, stepSize: Self, root: Self)

  /// buffer = momentum·buffer + clip·gradient; direction = clip·gradient + momentum·buffer. Returns ‖direction‖².
  static func nesterovDirection(
    _ count: Int, gradient: UnsafePointer<Self>, buffer: UnsafeMutablePointer<Self>,
    direction: UnsafeMutablePointer<Self>, clip: Self, momentum: Self
  ) -> Double

  /// w −= rate·(scale·direction + decay·w).
  static func decoupledStep(
    _ count: Int, weights: UnsafeMutablePointer<Self>, direction: UnsafePointer<Self>, rate: Self, scale: Self,
    decay: Self)
}

extension Float: OptimizerKernels {
  package static func sgd(
    _ count: Int, weights: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
    buffer: UnsafeMutablePointer<Float>?, clip: Float, rate: Float, momentum: Float, nesterov: Bool, decay: Float
  ) {
    ckernels_sgd_float(count, weights, gradient, buffer, clip, rate, momentum, nesterov, decay)
  }

  package static func adamw(
    _ count: Int, weights: UnsafeMutablePointer<Float>, gradient: UnsafePointer<Float>,
    moment1: UnsafeMutablePointer<Float>, moment2: UnsafeMutablePointer<Float>, clip: Float, shrink: Float,
    weight1: Float,
    beta2: Float, weight2: Float, epsilon: Float, stepSize: Float, root: Float
  ) {
    ckernels_adamw_float(
      count, weights, gradient, moment1, moment2, clip, shrink, weight1, beta2, weight2, epsilon, stepSize, root)
  }

  package static func nesterovDirection(
    _ count: Int, gradient: UnsafePointer<Float>, buffer: UnsafeMutablePointer<Float>,
    direction: UnsafeMutablePointer<Float>, clip: Float, momentum: Float
  ) -> Double {
    ckernels_nesterov_direction_float(count, gradient, buffer, direction, clip, momentum)
  }

  package static func decoupledStep(
    _ count: Int, weights: UnsafeMutablePointer<Float>, direction: UnsafePointer<Float>, rate: Float, scale: Float,
    decay: Float
  ) {
    ckernels_decoupled_step_float(count, weights, direction, rate, scale, decay)
  }
}

extension Double: OptimizerKernels {
  package static func sgd(
    _ count: Int, weights: UnsafeMutablePointer<Double>, gradient: UnsafePointer<Double>,
    buffer: UnsafeMutablePointer<Double>?, clip: Double, rate: Double, momentum: Double, nesterov: Bool, decay: Double
  ) {
    ckernels_sgd_double(count, weights, gradient, buffer, clip, rate, momentum, nesterov, decay)
  }

  package static func adamw(
    _ count: Int, weights: UnsafeMutablePointer<Double>, gradient: UnsafePointer<Double>,
    moment1: UnsafeMutablePointer<Double>, moment2: UnsafeMutablePointer<Double>, clip: Double, shrink: Double,
    weight1: Double,
    beta2: Double, weight2: Double, epsilon: Double, stepSize: Double, root: Double
  ) {
    ckernels_adamw_double(
      count, weights, gradient, moment1, moment2, clip, shrink, weight1, beta2, weight2, epsilon, stepSize, root)
  }

  package static func nesterovDirection(
    _ count: Int, gradient: UnsafePointer<Double>, buffer: UnsafeMutablePointer<Double>,
    direction: UnsafeMutablePointer<Double>, clip: Double, momentum: Double
  ) -> Double {
    ckernels_nesterov_direction_double(count, gradient, buffer, direction, clip, momentum)
  }

  package static func decoupledStep(
    _ count: Int, weights: UnsafeMutablePointer<Double>, direction: UnsafePointer<Double>, rate: Double, scale: Double,
    decay: Double
  ) {
    ckernels_decoupled_step_double(count, weights, direction, rate, scale, decay)
  }
}
