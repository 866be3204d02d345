import Models

extension JobSpecification {
  var hasPrivacy: Bool {
    [
      CharterFields.privacyUnit.path, CharterFields.privacyClip.path, CharterFields.epsilon.path,
      CharterFields.delta.path, CharterFields.colluders.path,
    ].contains { written[$0] != nil }
  }

  func resolvedPrivacy(_ participation: Participation) throws(JobSpecError) -> PrivacyTarget? {
    guard hasPrivacy else { return nil }
    let unit = try required(CharterFields.privacyUnit)
    if unit == .record {
      try refuse(
        CharterFields.colluders.path,
        "`\(CharterFields.colluders.path)` is for `unit: site`; each site noises its own records; delete it")
    }
    let colluders = self[CharterFields.colluders] ?? 0
    guard colluders < participation.minimum else {
      throw contradiction(
        CharterFields.colluders.path,
        "`\(CharterFields.colluders.path)` (\(colluders)) must be below `federation.participation.minimum` "
          + "(\(participation.minimum)): no noise would be left")
    }
    return PrivacyTarget(
      unit: unit, clipNorm: try required(CharterFields.privacyClip), epsilon: try required(CharterFields.epsilon),
      delta: try required(CharterFields.delta), colluders: colluders)
  }

  /// What would leave a site without noise is refused, and what the noise does not cover.
  func checkPrivacy(
    _ settings: FederationSettings, task: LearningTask, data: CharterData, optimizer: OptimizerDescription
  ) throws(JobSpecError) {
    guard let privacy = settings.privacy else { return }
    func refused(_ path: String, _ what: String) -> JobSpecError {
      contradiction(path, "`federation.privacy` with \(what)")
    }
    if data.standardize == .pooled {
      throw refused(
        CharterFields.standardize.path,
        "`data.standardize: pooled`: means and deviations would leave the sites without noise; use "
          + (privacy.unit == .site ? "site or none" : "none"))
    }
    if settings.classWeights != .none {
      throw refused(
        CharterFields.classWeights.path,
        "`class_weights`: counts of classes would leave the sites without noise; delete it")
    }
    if settings.weighting == .rows {
      throw refused(
        StrategyFields.weighting.path,
        "`weighting: rows`: counts of rows would leave the sites without noise; use equal")
    }
    if try value(JobFields.keep) == .best {
      throw refused(JobFields.keep.path, "`train.keep: best`: the metrics that choose have no noise; use last")
    }
    if settings.stopPatience != nil {
      throw refused(CharterFields.stopPatience.path, "`stop`: the metrics that decide have no noise; delete it")
    }
    switch privacy.unit {
    case .record: try checkRecords(settings, task, data, optimizer, refused)
    case .site:
      if settings.aggregation == .plain {
        throw refused(
          CharterFields.aggregation.path,
          "`unit: site`: each site adds only its share of the noise, which plain sums would show")
      }
      if settings.strategy.kind.hasControlVariates {
        throw refused(
          StrategyFields.name.path,
          "`unit: site` and \(settings.strategy.kind.rawValue): control variates have no noise")
      }
    }
  }

  /// What would make more of a record than its clipped gradient in the steps that draw it, or their number a secret.
  private func checkRecords(
    _ settings: FederationSettings, _ task: LearningTask, _ data: CharterData, _ optimizer: OptimizerDescription,
    _ refused: (String, String) -> JobSpecError
  ) throws(JobSpecError) {
    if task == .survival {
      throw refused(
        JobFields.task.path,
        "`unit: record`: the loss of a survival compares rows, so that none has a gradient of its own")
    }
    switch settings.local {
    case .updates: break
    case .epochs:
      throw refused(
        CharterFields.epochs.path,
        "`unit: record` and `epochs`: the number of steps, which ε counts, would follow from a site's rows; give `updates`"
      )
    case .full:
      throw refused(
        CharterFields.full.path, "`unit: record` draws the rows of every batch; give `updates`, not `full`")
    }
    try checkClippedPrecision(value(JobFields.precision), "`federation.privacy` (`unit: record`)")
    if data.standardize == .site {
      throw refused(
        CharterFields.standardize.path,
        "`unit: record` and `data.standardize: site`: one row more would change all others through mean and deviation; use none"
      )
    }
    if optimizer.clipNorm != nil {
      throw refused(
        JobFields.clipNorm.path,
        "`unit: record` and `optimizer.clip_norm`: each record's gradient is clipped to `federation.privacy.clip_norm`, and then "
          + "nothing clips the sum; delete it")
    }
  }
}
