import Training

/// Which epoch's weights `keep: best` keeps where the trainer evaluates.
enum BestEpoch {
  /// - Parameter kept: the best epoch so far and its primary metric.
  static func isBest(_ primary: Metric, epoch: Int, than kept: (epoch: Int, metric: Double?)?) -> Bool {
    // Evaluated again after a resume: the kept weights are these.
    if kept?.epoch == epoch { return true }
    return primary.isBetter(
      than: Metric(name: primary.name, value: kept?.metric, higherIsBetter: primary.higherIsBetter))
  }
}
