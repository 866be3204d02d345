import Models

extension ResolvedJob {
  /// The job as YAML with every key that applies: what `job.resolved.yaml` holds and what a digest of the job is taken
  /// of. Equal jobs give equal text; parsing and resolving the text gives an equal job.
  package func yaml() -> String {
    headText + "trainer: \(Self.quoted(trainer))\n" + auditedText + auditText
  }

  /// What an audit of the job is an audit of: `yaml` without where the job is sent and what is asked of the audit.
  package var auditedYAML: String { headText + auditedText }

  private var headText: String {
    "# Every default filled in, paths absolute. Holds no secret.\nname: \(Self.quoted(name))\n"
  }

  private var auditedText: String {
    var text = ""
    text += "data:\n"
    text += "  file: \(Self.quoted(data.file))\n"
    text += inputsText
    if let labels = data.labels { text += "  labels: \(Self.quoted(labels))\n" }
    if let columns = data.survival {
      text += "  time: \(Self.quoted(columns.time))\n  event: \(Self.quoted(columns.event))\n"
    }
    text += "  split: {\(splitText)}\n  standardize: \(data.standardize)\n"
    text += "task: \(task.rawValue)\n"
    text += modelText
    text += "masking:\n  strength: \(masking.strength.rawValue)\n  padding: \(masking.padding)\n"
    if let width = masking.adapterWidth { text += "  adapter:\n    width: \(width)\n" }
    if let sigma = masking.noise { text += "  noise:\n    sigma: \(sigma)\n" }
    text += "  exact: \(masking.exact)\n"
    if let shuffles = masking.shuffleTokens { text += "  shuffle_tokens: \(shuffles)\n" }
    if let visibility = masking.baseModel { text += "  base_model: \(visibility.rawValue)\n" }
    text += "loss:\n  where: \(lossLocation.rawValue)\n"
    text += optimizerText
    text += "schedule:\n  warmup: \(schedule.warmup)\n  decay: \(schedule.decay.rawValue)\n"
    text += "train:\n  epochs: \(train.epochs)\n  batch: \(train.batch)\n  accumulate: \(train.accumulate)\n"
    text += "  micro_batch: \(train.microBatch)\n"
    if case .huggingFace = model { text += "  recompute: \(train.recompute)\n" }
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
      (JobFields.membershipMax, audit.membershipMax),
    ]
    var lines = audit.knownRowsMin.map { ["    known_rows_min: \($0)\n"] } ?? []
    for case (let field, let bound?) in shares {
      lines.append("    \(field.path.split(separator: ".").last ?? ""): \(bound)\n")
    }
    return "audit:\n  gate:\n" + lines.joined()
  }

  private var inputsText: String {
    switch data.inputs {
    case .features(let path): return "  features: \(Self.quoted(path))\n"
    case .tokens(let columns):
      var text = "  tokens: \(Self.quoted(columns.ids))\n"
      if let mask = columns.mask { text += "  mask: \(Self.quoted(mask))\n" }
      if let types = columns.types { text += "  types: \(Self.quoted(types))\n" }
      return text
    }
  }

  private var modelText: String {
    switch model {
    case .mlp(let hidden, let activation):
      return "model:\n  mlp:\n    hidden: \(hidden)\n    activation: \(activation.rawValue)\n"
    case .huggingFace(let model):
      var text = "model:\n  huggingface: \(Self.quoted(model.directory))\n"
      if model.pool != nil || model.classes != nil { text += "  head:\n" }
      if let pool = model.pool { text += "    pool: \(pool.rawValue)\n" }
      if let classes = model.classes { text += "    classes: \(classes)\n" }
      switch model.train {
      case .all: return text + "  train: all\n"
      case .head: return text + "  train: head\n"
      case .lora(let adaptation):
        text += "  train: lora\n  lora:\n    rank: \(adaptation.rank)\n    alpha: \(adaptation.alpha)\n"
        return text + "    targets: [\(adaptation.targets.map(Self.quoted).joined(separator: ", "))]\n"
      }
    }
  }

  private var splitText: String {
    switch data.split {
    case .fraction(let validation, let seed): "validation: \(validation), seed: \(seed)"
    case .modulo(let by, let modulo, let equals): "by: \(Self.quoted(by)), modulo: \(modulo), equals: \(equals)"
    case .rows(let path): "validation_rows: \(Self.quoted(path))"
    }
  }

  private var optimizerText: String {
    var text = "optimizer:\n  name: \(optimizer.kind.rawValue)\n  lr: \(optimizer.learningRate)\n"
    if optimizer.kind.traits.momentum != nil { text += "  momentum: \(optimizer.momentum)\n" }
    if optimizer.kind.traits.nesterov == .setting { text += "  nesterov: \(optimizer.nesterov)\n" }
    text += "  weight_decay: \(optimizer.weightDecay)\n"
    return text + "  clip_norm: \(optimizer.clipNorm.map { "\($0)" } ?? "none")\n"
  }

  /// A double-quoted YAML scalar on one line; line separators and what YAML does not allow bare are escaped.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x22: result += "\\\""
      case 0x5C: result += "\\\\"
      case 0..<0x20, 0x7F...0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF:
        let digits = String(scalar.value, radix: 16, uppercase: true)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
