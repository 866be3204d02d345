/// A job's metric with and without the noise on its inputs, each from whole plaintext runs.
package struct NoiseCost: Sendable, Equatable, Codable {
  /// "accuracy", "roc_auc", "rmse".
  package var metric: String
  package var sigma: Double
  package var withNoise: Double
  package var withoutNoise: Double

  package init(metric: String, sigma: Double, withNoise: Double, withoutNoise: Double) {
    self.metric = metric
    self.sigma = sigma
    self.withNoise = withNoise
    self.withoutNoise = withoutNoise
  }
}
