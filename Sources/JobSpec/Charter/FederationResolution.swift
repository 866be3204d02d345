import Models

extension JobSpecification {
  /// The section `federation`, and what it asks of the rest of the charter.
  func resolvedFederation(
    sites: Int, task: LearningTask, optimizer: OptimizerDescription, data: CharterData
  ) throws(JobSpecError) -> FederationSettings {
    let strategy = try resolvedStrategy(optimizer)
    let aggregation = try value(CharterFields.aggregation)
    let local = try resolvedLocalWork()
    let participation = try resolvedParticipation(sites: sites, aggregation)
    let classWeights = try value(CharterFields.classWeights)
    if classWeights != .none, task != .classification {
      throw contradiction(
        CharterFields.classWeights.path,
        "`federation.class_weights` is for `task: classification`, not for `task: \(task.rawValue)`; delete it")
    }
    let settings = FederationSettings(
      strategy: strategy,
      weighting: self[StrategyFields.weighting] ?? (hasPrivacy ? .equal : .rows),
      rounds: try required(CharterFields.rounds), local: local, participation: participation,
      fixedPoint: try resolvedBounds(strategy.kind), aggregation: aggregation,
      threshold: try resolvedThreshold(sites: sites, aggregation), masking: try resolvedMasking(strategy.kind),
      privacy: try resolvedPrivacy(participation), stopPatience: self[CharterFields.stopPatience],
      classWeights: classWeights)
    try checkPasses(settings)
    try checkPrivacy(settings, task: task, data: data, optimizer: optimizer)
    return settings
  }

  /// - Throws: `contradiction` unless exactly one kind of local work is given.
  private func resolvedLocalWork() throws(JobSpecError) -> LocalWork {
    let full = self[CharterFields.full] == true ? CharterFields.full.path : nil
    let given =
      [CharterFields.updates.path, CharterFields.epochs.path].filter { written[$0] != nil } + [full].compactMap(\.self)
    if given.count > 1 {
      throw contradiction(
        given[1],
        "`\(given[0])` and `\(given[1])` are two kinds of local work; keep one of updates, epochs and full: true")
    }
    if let epochs = self[CharterFields.epochs] { return .epochs(epochs) }
    if full != nil { return .full }
    guard let updates = self[CharterFields.updates] else {
      throw JobSpecError(
        .missingKey(
          "federation.local", meaning: "what a site does in a round: one of {updates: N}, {epochs: N} and {full: true}."
        ),
        at: SourceLocation(source: source))
    }
    return .updates(updates)
  }

  /// Refuses what no site could train, however many rows it has.
  private func checkPasses(_ settings: FederationSettings) throws(JobSpecError) {
    let passes: Int
    switch settings.local {
    case .epochs(let epochs): passes = settings.rounds * epochs
    case .full: passes = settings.rounds
    case .updates(let updates):
      let batch = try value(JobFields.batch)
      // The site with the most rows goes through them least often.
      let stepsPerPass = (settings.fixedPoint.rowsBound + batch - 1) / batch
      passes = settings.rounds * updates / stepsPerPass
    }
    guard passes > TrainingLimits.passes else { return }
    throw contradiction(
      CharterFields.rounds.path,
      "`\(CharterFields.rounds.path)` and `federation.local` make \(passes) passes or more over a site's rows; at most "
        + "\(TrainingLimits.passes) are supported: fewer rounds, or less work in each")
  }

  private func resolvedParticipation(
    sites: Int, _ aggregation: AggregationKind
  ) throws(JobSpecError) -> Participation {
    let fraction = try value(CharterFields.fraction)
    let cohort = Participation.cohort(of: sites, fraction: fraction)
    // A sum over one site would be its update.
    let least = aggregation == .secure ? 2 : 1
    guard cohort >= least else {
      throw contradiction(
        CharterFields.fraction.path,
        "`federation.participation.fraction` draws \(cohort) of \(sites) sites for a round, whose sum would be its update; raise it"
      )
    }
    let minimum = self[CharterFields.minimum] ?? min(max(least, sites / 2 + 1), cohort)
    let path = CharterFields.minimum.path
    guard minimum <= sites else {
      throw contradiction(path, "`\(path)` (\(minimum)) is above the number of sites (\(sites))")
    }
    guard minimum <= cohort else {
      throw contradiction(
        path, "`\(path)` (\(minimum)) is above the \(cohort) of \(sites) sites that `fraction` draws for a round")
    }
    guard minimum >= least else {
      throw contradiction(
        path, "`\(path)` must be at least 2 with `federation.aggregation: secure`: a sum over one site is its update")
    }
    return Participation(minimum: minimum, fraction: fraction, patience: try value(CharterFields.patience))
  }

  private func resolvedBounds(_ strategy: StrategyDescription.Kind) throws(JobSpecError) -> FixedPointBounds {
    let updateClip = try value(CharterFields.updateClip)
    if !strategy.hasControlVariates {
      try refuse(
        CharterFields.controlClip.path,
        "`\(CharterFields.controlClip.path)` is for `scaffold`; \(strategy.rawValue) has no control variates; delete it"
      )
    }
    return FixedPointBounds(
      updateClip: updateClip,
      controlClip: strategy.hasControlVariates ? self[CharterFields.controlClip] ?? updateClip : nil,
      rowsBound: try value(CharterFields.rowsBound), statisticsBound: try value(CharterFields.statisticsBound))
  }

  /// Every site shares secrets with every other.
  static let maximumSecureSites = 100

  private func resolvedThreshold(sites: Int, _ aggregation: AggregationKind) throws(JobSpecError) -> Int? {
    let path = CharterFields.threshold.path
    let threshold = self[CharterFields.threshold] ?? 2 * sites / 3 + 1
    guard threshold <= sites else {
      throw contradiction(
        path, "`\(path)` (\(threshold)) is above the number of sites (\(sites)): no sum could be unmasked")
    }
    // It may stay in a charter that is run with plain sums for comparison.
    guard aggregation == .secure else { return nil }
    guard sites <= Self.maximumSecureSites else {
      throw contradiction(
        CharterFields.aggregation.path,
        "`federation.aggregation: secure` takes at most \(Self.maximumSecureSites) sites, of which each shares secrets with each "
          + "other; the charter has \(sites)")
    }
    guard 2 * threshold > sites else {
      throw contradiction(
        path,
        "`\(path)` (\(threshold)) must be above half of the \(sites) sites: two halves could be told of two different sums; "
          + "\(sites / 2 + 1) is the least, \(2 * sites / 3 + 1) protects from an aggregator that lies")
    }
    return threshold
  }

  private func resolvedMasking(_ strategy: StrategyDescription.Kind) throws(JobSpecError) -> FederationMasking {
    let strength = self[CharterFields.strength] ?? (strategy.isAdaptive ? .permutation : .rotation)
    let path = CharterFields.baseModel.path
    guard isTransformer else {
      try refuse(path, "`\(path)` needs `model.huggingface`; delete it")
      return FederationMasking(strength: strength, baseModel: nil)
    }
    guard strength != .none else { return FederationMasking(strength: strength, baseModel: nil) }
    guard let visibility = self[CharterFields.baseModel] else {
      throw JobSpecError(
        .missingKey(
          path,
          meaning:
            "under `federation.masking.strength: \(strength.rawValue)` say whether the aggregator can have the pretrained "
            + "weights. `public`: it can (they are published, or known to it), and can then work out keys from the masked weights; "
            + "`private`: only the sites have them."),
        at: SourceLocation(source: source))
    }
    return FederationMasking(strength: strength, baseModel: visibility)
  }
}
