import Foundation
package import JobSpec
package import Privacy

/// What a charter's `federation.privacy` comes to at a site: the noise that keeps to ε, and what is spent with it.
///
/// `unit: site`: one step a round, of every site that is in the sum (rate 1: who takes part is public, so it hides nothing). A site's whole update
/// is clipped to norm C, so that its presence changes the sum by at most C; the mean divides by the number of survivors, which is public, and so do
/// the server's rules: they work on what is noised already. The neighbour of a run is the one in which this site sends updates of zeros.
/// `unit: record`: every local step takes each of the site's N training rows with probability q = batch/N.
package struct PrivacyPlan: Sendable, Equatable {
  package let target: PrivacyTarget
  /// Of the whole run; noise in units of `target.clipNorm`.
  package let mechanism: SubsampledGaussian
  /// Steps that count, in a round.
  package let stepsPerRound: Int
  /// Fewest sites in a sum whose noise counts: `participation.minimum` less the colluders; 1 where each site's noise stands for itself.
  package let noisySites: Int

  /// Finds the least noise that keeps to ε. Takes a second or so.
  ///
  /// - Parameter trainingRows: of the site; not used for `unit: site`.
  /// - Returns: nil where the charter asks for no privacy.
  /// - Throws: `PrivacyError` for an ε that no noise keeps to, or numbers of steps outside its ranges; `SiteError.privacy` for fewer rows than a batch.
  package init?(_ charter: Charter, trainingRows: Int) throws {
    guard let target = charter.federation.privacy else { return nil }
    let rate = try Self.sampleRate(charter, target, trainingRows: trainingRows)
    let stepsPerRound = Self.stepsPerRound(charter, target)
    let found = try NoiseCalibration(
      epsilon: target.epsilon, delta: target.delta, sampleRate: rate,
      steps: charter.federation.rounds * stepsPerRound)
    try self.init(charter, trainingRows: trainingRows, noiseMultiplier: found.noiseMultiplier)
  }

  /// With noise that was found before.
  ///
  /// - Throws: as the other.
  package init?(_ charter: Charter, trainingRows: Int, noiseMultiplier: Double) throws {
    guard let target = charter.federation.privacy else { return nil }
    self.target = target
    stepsPerRound = Self.stepsPerRound(charter, target)
    mechanism = try SubsampledGaussian(
      noiseMultiplier: noiseMultiplier, sampleRate: Self.sampleRate(charter, target, trainingRows: trainingRows),
      steps: charter.federation.rounds * stepsPerRound)
    noisySites = target.unit == .site ? charter.federation.participation.minimum - target.colluders : 1
  }

  private static func stepsPerRound(_ charter: Charter, _ target: PrivacyTarget) -> Int {
    guard target.unit == .record, case .updates(let updates) = charter.federation.local else { return 1 }
    return updates
  }

  private static func sampleRate(
    _ charter: Charter, _ target: PrivacyTarget, trainingRows: Int
  ) throws -> Double {
    guard target.unit == .record else { return 1 }
    guard trainingRows >= charter.train.batch else {
      throw SiteError.privacy(
        "\(trainingRows) training rows are fewer than the charter's train.batch, \(charter.train.batch)")
    }
    return Double(charter.train.batch) / Double(trainingRows)
  }

  /// Standard deviation of what this site adds to each entry: of its update for `unit: site`, of a step's sum of clipped gradients for `unit: record`.
  package var ownDeviation: Double {
    get throws {
      let total = mechanism.noiseMultiplier * target.clipNorm
      guard target.unit == .site else { return total }
      return try SiteNoise.standardDeviation(total: total, minimumSurvivors: noisySites, colluders: 0)
    }
  }

  /// The chance that an entry of any site's update in any round of the run does not fit into `least(updateClip:)`.
  package static let overflowChance = 1e-9

  /// The least `federation.fixed_point.update_clip` for `unit: site`. An entry is at most C by itself, and masks keep norms and the noise's distribution.
  /// A normal number is beyond k deviations with a chance below exp(−k²/2), so that of n sites' entries in all rounds, E · R · n of them, one is with a
  /// chance below E · R · n · exp(−k²/2); k makes that `overflowChance`.
  ///
  /// - Parameters:
  ///   - entries: E, of the model's trained parameters together.
  ///   - sites: n.
  package func leastUpdateClip(entries: Int, sites: Int) throws -> Double {
    let numbers = Double(entries) * Double(mechanism.steps) * Double(sites)
    let deviations = (2 * log(max(2, numbers / Self.overflowChance))).squareRoot()
    // Masks round each entry by a few units in the last place of a float.
    return (target.clipNorm + deviations * (try ownDeviation)) * (1 + 1e-5)
  }

  /// - Throws: `SiteError.privacy` with the number that fits, for a charter whose `update_clip` does not hold update and noise.
  package func checkUpdateClip(_ charter: Charter, entries: Int) throws {
    guard target.unit == .site else { return }
    let clip = charter.federation.fixedPoint.updateClip
    let least = try leastUpdateClip(entries: entries, sites: charter.sites.count)
    guard least > clip else { return }
    // Three digits, rounded up.
    let unit = pow(10, floor(log10(least)) - 2)
    throw SiteError.privacy(
      "federation.fixed_point.update_clip is \(clip), and an update of norm \(target.clipNorm) with the noise of ε \(target.epsilon) "
        + "(deviation \(String(format: "%.4g", try ownDeviation)) at each site) needs \(String(format: "%g", (least / unit).rounded(.up) * unit)); "
        + "the parties must agree on that much, on a smaller clip_norm, or on a larger ε")
  }
}
