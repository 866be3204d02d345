/// What one optimizer step did.
package struct StepReport: Sendable, Equatable {
  /// t, the number of the step just taken.
  package let step: Int
  /// ‖g‖₂ over all gradients together, before clipping.
  package let gradientNorm: Double
  package let learningRate: Double

  package init(step: Int, gradientNorm: Double, learningRate: Double) {
    self.step = step
    self.gradientNorm = gradientNorm
    self.learningRate = learningRate
  }
}
