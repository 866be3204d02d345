import Models

/// Parts of resolved documents that jobs, charters and site files have in common, each as lines of YAML.
enum YAMLText {
  /// A double-quoted YAML scalar on one line; line separators and what YAML does not allow bare are escaped.
  static func quoted(_ text: String) -> String {
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

  static func list(_ texts: [String]) -> String { "[\(texts.map(quoted).joined(separator: ", "))]" }
}

extension JobInputs {
  /// Lines within `data`.
  var yaml: String {
    switch self {
    case .features(let path): return "  features: \(YAMLText.quoted(path))\n"
    case .tokens(let columns):
      var text = "  tokens: \(YAMLText.quoted(columns.ids))\n"
      if let mask = columns.mask { text += "  mask: \(YAMLText.quoted(mask))\n" }
      if let types = columns.types { text += "  types: \(YAMLText.quoted(types))\n" }
      return text
    }
  }
}

extension DataSplit {
  /// Within the braces of `split`.
  var yaml: String {
    switch self {
    case .fraction(let validation, let seed): "validation: \(validation), seed: \(seed)"
    case .modulo(let by, let modulo, let equals): "by: \(YAMLText.quoted(by)), modulo: \(modulo), equals: \(equals)"
    case .rows(let path): "validation_rows: \(YAMLText.quoted(path))"
    }
  }
}

extension JobModel {
  var yaml: String {
    switch self {
    case .mlp(let hidden, let activation):
      return "model:\n  mlp:\n    hidden: \(hidden)\n    activation: \(activation.rawValue)\n"
    case .huggingFace(let model):
      var text = "model:\n  huggingface: \(YAMLText.quoted(model.directory))\n"
      if model.pool != nil || model.classes != nil { text += "  head:\n" }
      if let pool = model.pool { text += "    pool: \(pool.rawValue)\n" }
      if let classes = model.classes { text += "    classes: \(classes)\n" }
      switch model.train {
      case .all: return text + "  train: all\n"
      case .head: return text + "  train: head\n"
      case .lora(let adaptation):
        text += "  train: lora\n  lora:\n    rank: \(adaptation.rank)\n    alpha: \(adaptation.alpha)\n"
        return text + "    targets: \(YAMLText.list(adaptation.targets))\n"
      }
    }
  }
}

extension OptimizerDescription {
  var yaml: String {
    var text = "optimizer:\n  name: \(kind.rawValue)\n  lr: \(learningRate)\n"
    if kind.traits.momentum != nil { text += "  momentum: \(momentum)\n" }
    if kind.traits.nesterov == .setting { text += "  nesterov: \(nesterov)\n" }
    text += "  weight_decay: \(weightDecay)\n"
    return text + "  clip_norm: \(clipNorm.map { "\($0)" } ?? "none")\n"
  }
}

extension ScheduleDescription {
  var yaml: String { "schedule:\n  warmup: \(warmup)\n  decay: \(decay.rawValue)\n" }
}
