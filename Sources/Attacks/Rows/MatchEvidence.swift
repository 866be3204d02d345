import Tensors

/// How likely columns are to be the same ones, from squared distances of their statistics: logarithms of likelihoods with Gaussian errors of
/// the size that statistics of so many rows have.
struct MatchEvidence {
  /// Of the wanted columns.
  let deviations: [Double]
  /// That the statistics of the wanted and of the candidate columns are from.
  let rows: (wanted: Double, candidates: Double)
  let workers: Workers

  /// `[d, c]`: for a wanted column j and a candidate, −freedom/2 times their squared distance over what it is expected to be if they are one
  /// column, scale · σⱼ² · (1/n + 1/s).
  ///
  /// - Parameters:
  ///   - wanted, candidates: `[d, p]` and `[c, p]`, a column's statistics on each row.
  ///   - freedom: how many independent statistics there are in p.
  func scores(
    _ wanted: Tensor<Double>, _ candidates: Tensor<Double>, scale: Double, freedom: Double
  ) -> Tensor<Double> {
    let variance = 1 / rows.wanted + 1 / rows.candidates
    // A column that does not vary in the sample may in the view, and is as exact as rounding lets it be.
    let least = 1e-6 * (deviations.max() ?? 0)
    return wanted.squaredDistances(to: candidates, workers: workers).scalingRows(
      by: deviations.map {
        let deviation = max($0, least, 1e-15)
        return -freedom / 2 / max(scale * deviation * deviation * variance, 1e-300)
      })
  }
}
