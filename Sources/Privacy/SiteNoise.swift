/// Noise that several sites add together inside a secure sum (`unit: site`).
package enum SiteNoise {
  /// The standard deviation of one site's share, in units of `total`: each of n sites adds Gaussian noise of variance total²/m, with
  /// m = minimum survivors − declared colluders. Then the shares of any m sites that neither left nor told their noise have
  /// variance total² or more: variances of independent Gaussians add up. More survivors mean more noise, never less.
  ///
  /// `total` above 0 and finite, `minimumSurvivors` 1 or above, 0 ≤ `colluders` < `minimumSurvivors`; `PrivacyError.outOfRange` or
  /// `countOutOfRange` otherwise.
  package static func standardDeviation(total: Double, minimumSurvivors: Int, colluders: Int) throws -> Double {
    guard total > 0, total.isFinite else {
      throw PrivacyError.outOfRange(
        name: "the standard deviation of the noise", value: total, range: "above 0 and finite")
    }
    guard minimumSurvivors >= 1 else {
      throw PrivacyError.countOutOfRange(
        name: "the minimum of survivors", value: minimumSurvivors, range: "1 or above")
    }
    guard colluders >= 0, colluders < minimumSurvivors else {
      throw PrivacyError.countOutOfRange(
        name: "the number of colluders", value: colluders,
        range:
          "0 or above and less than the minimum of survivors, \(minimumSurvivors): someone's noise must remain unknown")
    }
    return total / Double(minimumSurvivors - colluders).squareRoot()
  }
}
