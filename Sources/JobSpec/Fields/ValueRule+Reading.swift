import Yams

extension ValueRule {
  private enum Outcome {
    case value(JobValue)
    case wrongType
    case outOfRange
  }

  /// Checks a node against the rule.
  ///
  /// - Throws: `wrongType`, `outOfRange` or `explicitTag` at the position of the node or of a list's item.
  func value(of node: Node, key: String, source: SourceLocation) throws(JobSpecError) -> JobValue {
    switch self {
    case .integers(let each, let count):
      var integers: [Int] = []
      for item in try items(of: node, count: count, key: key, source: source) {
        let value = try scalarValue(of: item, key: key, source: source) { text, isPlain in
          guard isPlain, NumberText.isInteger(text) else { return .wrongType }
          guard let integer = NumberText.integer(text), each.contains(integer) else { return .outOfRange }
          return .value(.integer(integer))
        }
        if case .integer(let integer) = value { integers.append(integer) }
      }
      return .integers(integers)
    case .identifiers(let maximum, let count):
      let each = ValueRule.identifier(maximum: maximum)
      var texts: [String] = []
      for item in try items(of: node, count: count, key: key, source: source) {
        let value = try scalarValue(of: item, key: key, source: source) { each.outcome($0, isPlain: $1) }
        if case .text(let text) = value { texts.append(text) }
      }
      return .texts(texts)
    default:
      return try scalarValue(of: node, key: key, source: source, outcome)
    }
  }

  private func items(
    of node: Node, count: ClosedRange<Int>, key: String, source: SourceLocation
  ) throws(JobSpecError) -> Node.Sequence {
    let location = source.moved(to: node.mark)
    guard case .sequence(let items) = node else {
      throw JobSpecError(.wrongType(key: key, expected: typeName, found: node.kindName), at: location)
    }
    guard count.contains(items.count) else {
      throw JobSpecError(.outOfRange(key: key, range: documentation), at: location)
    }
    return items
  }

  private func scalarValue(
    of node: Node, key: String, source: SourceLocation, _ outcome: (String, Bool) -> Outcome
  ) throws(JobSpecError) -> JobValue {
    let location = source.moved(to: node.mark)
    guard case .scalar(let scalar) = node else {
      throw JobSpecError(.wrongType(key: key, expected: typeName, found: node.kindName), at: location)
    }
    let isPlain = scalar.style == .plain
    guard scalar.tag.description == (isPlain ? Tag.Name.implicit : Tag.Name.str).rawValue else {
      throw JobSpecError(.explicitTag, at: location)
    }
    switch outcome(scalar.string, isPlain) {
    case .value(let value): return value
    case .wrongType: throw JobSpecError(.wrongType(key: key, expected: typeName, found: node.kindName), at: location)
    case .outOfRange: throw JobSpecError(.outOfRange(key: key, range: documentation), at: location)
    }
  }

  private func outcome(_ text: String, isPlain: Bool) -> Outcome {
    switch self {
    case .integer(let range):
      guard isPlain, NumberText.isInteger(text) else { return .wrongType }
      guard let integer = NumberText.integer(text), range.contains(integer) else { return .outOfRange }
      return .value(.integer(integer))
    case .number(let range): return numberOutcome(text, isPlain, range)
    case .numberOrNone(let range):
      return isPlain && text == "none" ? .value(.none) : numberOutcome(text, isPlain, range)
    case .boolean:
      switch text {
      case "true" where isPlain: return .value(.boolean(true))
      case "false" where isPlain: return .value(.boolean(false))
      default: return .wrongType
      }
    case .choice(let words): return words.contains(text) ? .value(.text(text)) : .outOfRange
    case .identifier, .text, .endpoint:
      // What YAML calls null is a forgotten value, not the text "null".
      if isPlain, Self.isNull(text) { return .wrongType }
      return value(ofText: text).map(Outcome.value) ?? .outOfRange
    case .integers, .identifiers: return .wrongType
    }
  }

  private func numberOutcome(_ text: String, _ isPlain: Bool, _ range: NumberRange) -> Outcome {
    guard isPlain else { return .wrongType }
    guard let number = NumberText.number(text) else { return .wrongType }
    // Adding zero turns −0 into 0, so that equal settings have one spelling in the resolved job.
    return !number.overflows && range.contains(number.value) ? .value(.number(number.value + 0)) : .outOfRange
  }

  static func isNull(_ text: String) -> Bool {
    ["", "~", "null", "Null", "NULL"].contains(text)
  }
}

extension Node {
  /// What a person would call the node in an error message; never its content.
  var kindName: String {
    switch self {
    case .mapping: return "a mapping"
    case .sequence: return "a list"
    case .alias: return "an alias"
    case .scalar(let scalar):
      guard scalar.style == .plain else { return "quoted text" }
      if ValueRule.isNull(scalar.string) { return "nothing" }
      if scalar.string == "true" || scalar.string == "false" { return "true or false" }
      if NumberText.isInteger(scalar.string) { return "an integer" }
      return NumberText.number(scalar.string) == nil ? "text" : "a number"
    }
  }
}
