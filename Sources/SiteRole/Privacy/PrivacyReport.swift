package import JobSpec
import OwnerRole
package import Privacy

/// What a site's part in a run has spent so far: `privacy.json`.
package struct PrivacyReport: Codable, Sendable, Equatable {
  package enum CodingKeys: String, CodingKey {
    case version, unit, rounds, steps, delta, epsilon, counted, covers
    case clipNorm = "clip_norm"
    case noiseMultiplier = "noise_multiplier"
    case ownDeviation = "own_noise_deviation"
    case noisySites = "sites_whose_noise_counts"
    case sampleRate = "sample_rate"
    case targetEpsilon = "target_epsilon"
    case epsilonRenyi = "epsilon_renyi"
    case epsilonPrivacyLoss = "epsilon_privacy_loss"
    case doesNotCover = "does_not_cover"
  }

  package let version: Int
  package let unit: String
  /// C.
  package let clipNorm: Double
  /// σ, in units of C: of the sum over `noisySites` sites, or of one local step.
  package let noiseMultiplier: Double
  /// Of this site's noise on an entry.
  package let ownDeviation: Double
  /// For `unit: site`.
  package let noisySites: Int?
  /// q.
  package let sampleRate: Double
  /// Rounds whose update may have left, and the steps that count.
  package let rounds: Int
  package let steps: Int
  package let delta: Double
  package let targetEpsilon: Double
  /// The smaller of the two: what this run has spent.
  package let epsilon: Double
  /// By Rényi divergences, improved conversion.
  package let epsilonRenyi: Double
  /// The upper bound by privacy losses; nil where they do not fit a grid.
  package let epsilonPrivacyLoss: Double?
  /// Whose figure counts.
  package let counted: PrivacySpent.Accountant
  package let covers: String
  package let doesNotCover: String

  /// - Parameter isProvided: whether a provider makes the site's local steps.
  init(_ plan: PrivacyPlan, rounds: Int, spent: PrivacySpent, isProvided: Bool = false) throws {
    let target = plan.target
    version = 1
    unit = target.unit.rawValue
    clipNorm = target.clipNorm
    noiseMultiplier = plan.mechanism.noiseMultiplier
    ownDeviation = try plan.ownDeviation
    noisySites = target.unit == .site ? plan.noisySites : nil
    sampleRate = plan.mechanism.sampleRate
    self.rounds = rounds
    steps = rounds * plan.stepsPerRound
    delta = target.delta
    targetEpsilon = target.epsilon
    epsilon = spent.epsilon
    epsilonRenyi = spent.renyi.improved
    epsilonPrivacyLoss = spent.privacyLoss?.upper
    counted = spent.counted
    covers = PrivacyScope.covers(target, isProvided: isProvided).joined(separator: "; ")
    doesNotCover = PrivacyScope.doesNotCover(target, isProvided: isProvided).joined(separator: "; ")
  }
}

/// What an ε is about, in words: the same in `encryptor charter`, in `privacy.json` and in the documents.
package enum PrivacyScope {
  /// - Parameter isProvided: whether a provider makes the site's local steps.
  package static func covers(_ target: PrivacyTarget, isProvided: Bool = false) -> [String] {
    guard isProvided, target.unit == .record else { return coversAlone(target) }
    return coversAlone(target) + [
      "provided that this site's provider (trainer:) adds the noise and keeps its seeds to itself"
    ]
  }

  private static func coversAlone(_ target: PrivacyTarget) -> [String] {
    switch target.unit {
    case .site:
      [
        "this site's part as a whole (updates of zeros in its place), for whoever has the sums and models of all rounds and "
          + (target.colluders == 0
            ? "no site's noise" : "the noise of at most \(target.colluders) of the sites in a sum")
          + ", be it an aggregator that lies"
      ]
    case .record:
      [
        "any one of this site's training rows, added or left out while the others stay as they are, for whoever has the sums and models of all rounds, and even every single "
          + "update of this site"
      ]
    }
  }

  /// - Parameter isProvided: as of `covers`.
  package static func doesNotCover(_ target: PrivacyTarget, isProvided: Bool = false) -> [String] {
    var lines: [String]
    switch target.unit {
    case .site:
      lines = ["that the site takes part, and in which rounds, also where its part ends because its training diverges"]
      if target.colluders == 0 {
        lines.append(
          "what another site sees, which can take its own noise off a sum: colluders: 1 covers each by itself")
      }
    case .record:
      lines = [
        JobPrivacyReport.givenSplit,
        "the number of training rows, which the size of the noise follows from, and that a row which cannot be read keeps the site from joining",
        "several rows of one person: k rows have k times the ε, and a larger δ; of a person at two sites both ε add up",
      ]
    }
    if isProvided {
      lines.append(
        target.unit == .record
          ? "this site's provider (trainer:), which sees masked rows and knows the noise, and that a run ends because outputs on training rows are not finite"
          : "this site's provider (trainer:), which sees masked rows, and the masked model before the update has its noise"
      )
    }
    return lines + [
      "validation rows, and the scores on them that this site prints and keeps for itself",
      "how long this site works on a round, which everybody sees",
      "other runs on the same rows: every run spends again, also one that was tried before this one",
    ]
  }

  /// What is not sent because it would have no noise.
  package static let notSent = "losses, metrics, numbers of rows; no evaluation after the last round"
}
