/// What every parameter's update of one step has in common.
struct UpdateSettings {
  /// The schedule's rate of this step.
  let learningRate: Double
  /// min(1, clip_norm / (‖g‖ + 1e-6)); multiplies every gradient as it is read.
  let clip: Double
  /// t = 0 … N − 1.
  let step: Int
}
