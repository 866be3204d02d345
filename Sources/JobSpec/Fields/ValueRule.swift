import Yams

/// The type and range of a key: what the documentation says and what the parser checks are the same declaration.
enum ValueRule: Sendable {
  case integer(ClosedRange<Int>)
  case number(NumberRange)
  /// A number, or the word `none`.
  case numberOrNone(NumberRange)
  case boolean
  case choice([String])
  /// 1 … `maximum` letters, digits, `.`, `_`, `-`.
  case identifier(maximum: Int)
  /// 1 … `maximum` UTF-8 bytes without control characters.
  case text(maximum: Int)
  case endpoint
  case integers(each: ClosedRange<Int>, count: ClosedRange<Int>)
  case numbers(each: NumberRange, count: ClosedRange<Int>)
  /// A list of texts.
  case texts(maximum: Int, count: ClosedRange<Int>)
  /// A list of identifiers.
  case identifiers(maximum: Int, count: ClosedRange<Int>)

  var typeName: String {
    switch self {
    case .integer: "an integer"
    case .number: "a number"
    case .numberOrNone: "a number or `none`"
    case .boolean: "true or false"
    case .choice(let words): "one of \(words.joined(separator: ", "))"
    case .identifier, .text: "text"
    case .endpoint: "an endpoint (tcp://HOST:PORT)"
    case .integers: "a list of integers"
    case .numbers: "a list of numbers"
    case .texts: "a list of texts"
    case .identifiers: "a list of names"
    }
  }

  /// The whole range, as the documentation and the error for a value outside it state it.
  var documentation: String {
    switch self {
    case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
    case .number(let range): range.documentation
    case .numberOrNone(let range): range.documentation + ", or none"
    case .boolean, .choice: typeName
    case .identifier(let maximum): "1 to \(maximum) letters, digits, `.`, `_` or `-`"
    case .text(let maximum): "text of 1 to \(maximum) bytes without control characters"
    case .endpoint: "tcp://HOST:PORT with a port from 1 to 65535"
    case .integers(let each, let count):
      "a list of \(count.lowerBound) to \(count.upperBound) integers, each from \(each.lowerBound) to \(each.upperBound)"
    case .numbers(let each, let count):
      "a list of \(Self.words(count)) numbers, each \(each.documentation.dropFirst("a number ".count))"
    case .texts(let maximum, let count):
      "a list of \(Self.words(count)) texts, each of 1 to \(maximum) bytes without control characters"
    case .identifiers(let maximum, let count):
      "a list of \(count.lowerBound) to \(count.upperBound) names, each 1 to \(maximum) letters, digits, `.`, `_` or `-`"
    }
  }

  private static func words(_ count: ClosedRange<Int>) -> String {
    count.lowerBound == count.upperBound ? "\(count.lowerBound)" : "\(count.lowerBound) to \(count.upperBound)"
  }

  /// Whether a command-line override is taken as it stands instead of being read as YAML, so that a path may hold `#`
  /// or `: `.
  var isText: Bool {
    switch self {
    case .identifier, .text, .endpoint: true
    default: false
    }
  }

  func value(ofText text: String) -> JobValue? {
    switch self {
    case .identifier(let maximum):
      let allowed = text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
      return allowed && (1...maximum).contains(text.utf8.count) ? .text(text) : nil
    case .text(let maximum):
      let hasControls = text.unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }
      return !hasControls && (1...maximum).contains(text.utf8.count) ? .text(text) : nil
    case .endpoint: return TrainerAddress.isValid(text) ? .text(text) : nil
    default: return nil
    }
  }
}

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
    case .numbers(let each, let count):
      let rule = ValueRule.number(each)
      var numbers: [Double] = []
      for item in try items(of: node, count: count, key: key, source: source) {
        let value = try scalarValue(of: item, key: key, source: source) { rule.outcome($0, isPlain: $1) }
        if case .number(let number) = value { numbers.append(number) }
      }
      return .numbers(numbers)
    case .texts(let maximum, let count):
      return try texts(of: node, each: .text(maximum: maximum), count: count, key: key, source: source)
    case .identifiers(let maximum, let count):
      return try texts(of: node, each: .identifier(maximum: maximum), count: count, key: key, source: source)
    default:
      return try scalarValue(of: node, key: key, source: source, outcome)
    }
  }

  private func texts(
    of node: Node, each: ValueRule, count: ClosedRange<Int>, key: String, source: SourceLocation
  ) throws(JobSpecError) -> JobValue {
    var texts: [String] = []
    for item in try items(of: node, count: count, key: key, source: source) {
      let value = try scalarValue(of: item, key: key, source: source) { each.outcome($0, isPlain: $1) }
      if case .text(let text) = value { texts.append(text) }
    }
    return .texts(texts)
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
    case .integers, .numbers, .texts, .identifiers: return .wrongType
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

/// The form of `tcp://HOST:PORT`: a host name, an IPv4 address, or an IPv6 address in brackets.
enum TrainerAddress {
  static func isValid(_ text: String) -> Bool {
    let scheme = "tcp://"
    guard text.utf8.count <= 300, text.hasPrefix(scheme) else { return false }
    let rest = text.dropFirst(scheme.count)
    guard let colon = rest.lastIndex(of: ":") else { return false }
    let digits = rest[rest.index(after: colon)...]
    guard digits.utf8.count <= 5, let port = NumberText.integer(String(digits)), (1...65535).contains(port),
      digits.first != "+"
    else { return false }
    let host = rest[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]"), host.count > 2 {
      return host.dropFirst().dropLast().utf8.allSatisfy { isHexadecimal($0) || $0 == 0x3A || $0 == 0x2E }
    }
    return !host.isEmpty && !host.hasPrefix("-") && host.utf8.allSatisfy(isHostByte)
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
  }

  /// Letters, digits, `.`, `-`, `_`.
  private static func isHostByte(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
      || byte == 0x2E || byte == 0x2D || byte == 0x5F
  }
}
