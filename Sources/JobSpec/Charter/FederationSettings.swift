package import Models

/// How a federation trains, averages and protects.
package struct FederationSettings: Sendable, Equatable {
  package let strategy: StrategyDescription
  package let weighting: SiteWeighting
  /// At least 1.
  package let rounds: Int
  package let local: LocalWork
  package let participation: Participation
  package let fixedPoint: FixedPointBounds
  package let aggregation: AggregationKind
  /// Sites that must agree on who is in a sum: above half of them, at most all; nil with plain sums.
  package let threshold: Int?
  package let masking: FederationMasking
  package let privacy: PrivacyTarget?
  /// Rounds without a better pooled validation metric, at least 1, after which the run ends; nil for never.
  package let stopPatience: Int?
  package let classWeights: ClassWeighting
}

/// What the aggregator does with the mean Δ of the sites' updates; formulas in `Federation`.
package struct StrategyDescription: Sendable, Equatable {
  package enum Kind: String, Sendable, CaseIterable {
    case fedavg
    case fedavgm
    case fedprox
    case fedadagrad
    case fedadam
    case fedyogi
    case scaffold

    /// Whether it divides entry by entry.
    package var isAdaptive: Bool { self == .fedadagrad || self == .fedadam || self == .fedyogi }
    /// Whether sites send the change of a control variate beside their update.
    package var hasControlVariates: Bool { self == .scaffold }
    /// The largest group of keys that averaging and stepping commute with: linear rules commute with every key, entry by entry ones with
    /// permutations and signs.
    package var largestGroup: SymmetryGroup { isAdaptive ? .signedPermutation : .orthogonal }
  }

  package let kind: Kind
  /// s, above 0.
  package let serverLearningRate: Double
  /// β₁ of fedavgm and of the adaptive rules, 0 ≤ β₁ < 1; 0 for the others.
  package let beta1: Double
  /// β₂ of fedadam and fedyogi, 0 ≤ β₂ < 1; 0 for the others.
  package let beta2: Double
  /// τ of the adaptive rules, above 0; 0 for the others.
  package let tau: Double
  /// μ of fedprox, above 0; 0 for the others.
  package let mu: Double

  package init(
    kind: Kind, serverLearningRate: Double, beta1: Double = 0, beta2: Double = 0, tau: Double = 0, mu: Double = 0
  ) {
    self.kind = kind
    self.serverLearningRate = serverLearningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.tau = tau
    self.mu = mu
  }
}

/// What a site's update counts in the mean.
package enum SiteWeighting: String, Sendable, CaseIterable {
  /// Its training rows.
  case rows
  case equal
}

/// What a site does in a round.
package enum LocalWork: Sendable, Equatable {
  /// So many optimizer steps, going on in the order of rows where the last round stopped.
  case updates(Int)
  /// So many passes over the training rows.
  case epochs(Int)
  /// One step on all training rows.
  case full
}

/// Which sites a round is made of, and how long it waits for them.
package struct Participation: Sendable, Equatable {
  /// Fewest sites whose uploads are in a sum, 1 … as many as are drawn.
  package let minimum: Int
  /// Share of the sites that is drawn for a round, above 0, at most 1.
  package let fraction: Double
  /// Seconds, above 0.
  package let patience: Double

  /// How many of `sites` are drawn for a round: their share rounded up, at least 1.
  package func cohort(of sites: Int) -> Int {
    Self.cohort(of: sites, fraction: fraction)
  }

  static func cohort(of sites: Int, fraction: Double) -> Int {
    // A share such as 0.07 of 100 sites is a little above 7 as a binary fraction, and still means 7 of them.
    min(sites, max(1, Int((fraction * Double(sites) * (1 - 1e-12)).rounded(.up))))
  }
}

/// Public bounds of what sites send, from which the bits of the fixed point follow.
package struct FixedPointBounds: Sendable, Equatable {
  /// Of an entry of an update, above 0.
  package let updateClip: Double
  /// Of an entry of a control variate's change, above 0; nil where there is none.
  package let controlClip: Double?
  /// Of a site's rows, at least 1.
  package let rowsBound: Int
  /// Of a loss or another statistic, above 0.
  package let statisticsBound: Double

  package init(updateClip: Double, controlClip: Double? = nil, rowsBound: Int, statisticsBound: Double) {
    self.updateClip = updateClip
    self.controlClip = controlClip
    self.rowsBound = rowsBound
    self.statisticsBound = statisticsBound
  }
}

/// What the aggregator learns of the uploads.
package enum AggregationKind: String, Sendable, CaseIterable {
  /// Sums over sites alone.
  case secure
  /// Each upload.
  case plain
}

/// The keys under which the aggregator averages the model.
package struct FederationMasking: Sendable, Equatable {
  /// Never `inputOnly`: the aggregator sees no inputs.
  package let strength: MaskingStrength
  /// What the charter says of the pretrained model; nil where there is none, or nothing is masked.
  package let baseModel: BaseModelVisibility?
}

/// The differential privacy that a run must keep.
package struct PrivacyTarget: Sendable, Equatable, Codable {
  /// What is added or removed between neighbouring runs.
  package enum Unit: String, Sendable, Codable, CaseIterable {
    case record
    case site
  }

  package let unit: Unit
  /// Largest norm of a record's gradient or of a site's update, above 0.
  package let clipNorm: Double
  /// Above 0.
  package let epsilon: Double
  /// 0 < δ < 1.
  package let delta: Double
  /// Sites whose share of the noise does not count, below `participation.minimum`; 0 for records.
  package let colluders: Int

  package init(unit: Unit, clipNorm: Double, epsilon: Double, delta: Double, colluders: Int = 0) {
    self.unit = unit
    self.clipNorm = clipNorm
    self.epsilon = epsilon
    self.delta = delta
    self.colluders = colluders
  }
}

/// What rows of a class count in the loss.
package enum ClassWeighting: String, Sendable, CaseIterable {
  case none
  /// N / (C · N_c), of the training rows of all sites.
  case balanced
}
