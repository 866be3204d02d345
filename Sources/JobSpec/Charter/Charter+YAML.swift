import Models

extension Charter {
  /// The charter as YAML with every key that applies. Equal charters give equal text; parsing the text gives an equal charter. Its digest
  /// is not the charter's, which is of the file as it was written.
  package func yaml() -> String {
    var text = "# Every default filled in, paths absolute. Holds no secret.\nname: \(YAMLText.quoted(name))\n"
    text +=
      "aggregator:\n  address: \(YAMLText.quoted(aggregator.address))\n  key: \(YAMLText.quoted(aggregator.key))\nsites:\n"
    for site in sites { text += "  - {name: \(YAMLText.quoted(site.name)), key: \(YAMLText.quoted(site.key))}\n" }
    text += data.yaml
    text += "task: \(task.rawValue)\n"
    text += model.yaml
    text += optimizer.yaml
    // The rule that takes one learning rate takes no schedule.
    if schedule != ScheduleDescription(warmup: 0, decay: .none) { text += schedule.yaml }
    text += "train:\n  batch: \(train.batch)\n  micro_batch: \(train.microBatch)\n"
    if case .huggingFace = model { text += "  recompute: \(train.recompute)\n" }
    text += "  precision: \(train.precision.rawValue)\n"
    text += "  seed: \(train.seed)\n  keep: \(train.keep.rawValue)\n"
    return text + federation.yaml
  }
}

extension CharterData {
  fileprivate var yaml: String {
    var text = "data:\n"
    if let columnsFile {
      text += "  columns_file: \(YAMLText.quoted(columnsFile))\n"
    } else if !columns.isEmpty {
      text += "  columns: \(YAMLText.list(columns))\n"
    }
    if !classes.isEmpty { text += "  classes: \(YAMLText.list(classes))\n" }
    return text + "  standardize: \(standardize.rawValue)\n"
  }
}

extension FederationSettings {
  fileprivate var yaml: String {
    var text = "federation:\n  strategy:\n"
    text += strategy.yaml + "    weighting: \(weighting.rawValue)\n"
    text += "  rounds: \(rounds)\n  local: {\(local.yaml)}\n"
    text += "  participation:\n    minimum: \(participation.minimum)\n    fraction: \(participation.fraction)\n"
    text += "    patience: \(participation.patience)\n"
    text += "  fixed_point:\n    update_clip: \(fixedPoint.updateClip)\n"
    if let clip = fixedPoint.controlClip { text += "    control_clip: \(clip)\n" }
    text += "    rows_bound: \(fixedPoint.rowsBound)\n    statistics_bound: \(fixedPoint.statisticsBound)\n"
    text += "  aggregation: \(aggregation.rawValue)\n"
    if let threshold { text += "  threshold: \(threshold)\n" }
    text += "  masking:\n    strength: \(masking.strength.rawValue)\n"
    if let visibility = masking.baseModel { text += "    base_model: \(visibility.rawValue)\n" }
    if let privacy { text += privacy.yaml }
    if let stopPatience { text += "  stop: {patience: \(stopPatience)}\n" }
    return text + "  class_weights: \(classWeights.rawValue)\n"
  }
}

extension StrategyDescription {
  fileprivate var yaml: String {
    var text = "    name: \(kind.rawValue)\n    server_lr: \(serverLearningRate)\n"
    switch kind {
    case .fedavg, .scaffold: break
    case .fedavgm: text += "    momentum: \(beta1)\n"
    case .fedprox: text += "    mu: \(mu)\n"
    case .fedadagrad: text += "    momentum: \(beta1)\n    tau: \(tau)\n"
    case .fedadam, .fedyogi: text += "    betas: [\(beta1), \(beta2)]\n    tau: \(tau)\n"
    }
    return text
  }
}

extension LocalWork {
  fileprivate var yaml: String {
    switch self {
    case .updates(let count): "updates: \(count)"
    case .epochs(let count): "epochs: \(count)"
    case .full: "full: true"
    }
  }
}

extension PrivacyTarget {
  fileprivate var yaml: String {
    var text =
      "  privacy:\n    unit: \(unit.rawValue)\n    clip_norm: \(clipNorm)\n    epsilon: \(epsilon)\n    delta: \(delta)\n"
    if unit == .site { text += "    colluders: \(colluders)\n" }
    return text
  }
}

extension SiteSpecification {
  /// The site file as YAML with every key that applies; parsing the text with the same charter gives an equal site.
  package func yaml() -> String {
    var text = "# Every default filled in, paths absolute. Holds no secret.\nname: \(YAMLText.quoted(name))\n"
    text += "data:\n  file: \(YAMLText.quoted(data.file))\n" + data.inputs.yaml
    if let columns = data.columns { text += "  columns: \(YAMLText.quoted(columns))\n" }
    if let labels = data.labels { text += "  labels: \(YAMLText.quoted(labels))\n" }
    if let columns = data.survival {
      text += "  time: \(YAMLText.quoted(columns.time))\n  event: \(YAMLText.quoted(columns.event))\n"
    }
    text += "  split: {\(data.split.yaml)}\n"
    if let threads { text += "threads: \(threads)\n" }
    text += "local_baseline: \(localBaseline)\n"
    return text + (provider?.yaml ?? "")
  }
}

extension SiteProvider {
  fileprivate var yaml: String {
    var text = "trainer: \(YAMLText.quoted(address))\n"
    if let key { text += "trainer_key: \(YAMLText.quoted(key))\n" }
    text += "masking:\n  strength: \(masking.strength.rawValue)\n"
    if let shuffles = masking.shuffleTokens { text += "  shuffle_tokens: \(shuffles)\n" }
    if let baseModel = masking.baseModel { text += "  base_model: \(baseModel.rawValue)\n" }
    return text
  }
}
