import Models

extension ResolvedJob {
  /// The job as YAML with every key that applies: what `job.resolved.yaml` holds and what a digest of the job is taken
  /// of. Equal jobs give equal text; parsing and resolving the text gives an equal job.
  package func yaml() -> String {
    headText + "trainer: \(YAMLText.quoted(trainer))\n" + text(statesPrecision: true) + auditText
  }

  /// What an audit of the job is an audit of: `yaml` without where the job is sent and what is asked of the audit.
  ///
  /// Digests of it are kept; so a job that says nothing new has the text that it had in versions before.
  package var auditedYAML: String { headText + text(statesPrecision: train.precision != .float32) }

  private var headText: String {
    "# Every default filled in, paths absolute. Holds no secret.\nname: \(YAMLText.quoted(name))\n"
  }

  private func text(statesPrecision: Bool) -> String {
    var text = ""
    text += "data:\n"
    text += "  file: \(YAMLText.quoted(data.file))\n"
    text += data.inputs.yaml
    if let labels = data.labels { text += "  labels: \(YAMLText.quoted(labels))\n" }
    if let columns = data.survival {
      text += "  time: \(YAMLText.quoted(columns.time))\n  event: \(YAMLText.quoted(columns.event))\n"
    }
    text += "  split: {\(data.split.yaml)}\n  standardize: \(data.standardize)\n"
    text += "task: \(task.rawValue)\n"
    text += model.yaml
    text += "masking:\n  strength: \(masking.strength.rawValue)\n  padding: \(masking.padding)\n"
    if let width = masking.adapterWidth { text += "  adapter:\n    width: \(width)\n" }
    if let sigma = masking.noise { text += "  noise:\n    sigma: \(sigma)\n" }
    text += "  exact: \(masking.exact)\n"
    if let shuffles = masking.shuffleTokens { text += "  shuffle_tokens: \(shuffles)\n" }
    if let visibility = masking.baseModel { text += "  base_model: \(visibility.rawValue)\n" }
    text += "loss:\n  where: \(lossLocation.rawValue)\n"
    if let privacy { text += privacy.jobYAML }
    text += optimizer.yaml
    text += schedule.yaml
    text += "train:\n  epochs: \(train.epochs)\n  batch: \(train.batch)\n  accumulate: \(train.accumulate)\n"
    text += "  micro_batch: \(train.microBatch)\n"
    if case .huggingFace = model { text += "  recompute: \(train.recompute)\n" }
    if statesPrecision { text += "  precision: \(train.precision.rawValue)\n" }
    text += "  seed: \(train.seed)\n  keep: \(train.keep.rawValue)\n"
    text += "checkpoint:\n  every_steps: \(checkpointEverySteps)\n"
    return text
  }

  private var auditText: String {
    guard let audit else { return "" }
    let shares: [(JobField<Double>, Double?)] = [
      (JobFields.spectralRecoveryMax, audit.spectralRecoveryMax),
      (JobFields.sourceSeparationMax, audit.sourceSeparationMax), (JobFields.linkageMax, audit.linkageMax),
      (JobFields.keyErrorMin, audit.keyErrorMin), (JobFields.tokenRecoveryMax, audit.tokenRecoveryMax),
      (JobFields.labelInformationMax, audit.labelInformationMax), (JobFields.matchingMax, audit.matchingMax),
      (JobFields.membershipMax, audit.membershipMax), (JobFields.repeatedQuestionsMax, audit.repeatedQuestionsMax),
      (JobFields.copiesErrorMin, audit.copiesErrorMin), (JobFields.cacheMax, audit.cacheMax),
    ]
    var lines = audit.knownRowsMin.map { ["    known_rows_min: \($0)\n"] } ?? []
    for case (let field, let bound?) in shares {
      lines.append("    \(field.path.split(separator: ".").last ?? ""): \(bound)\n")
    }
    return "audit:\n  gate:\n" + lines.joined()
  }
}
