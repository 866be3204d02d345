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
    case .identifiers(let maximum, let count):
      "a list of \(count.lowerBound) to \(count.upperBound) names, each 1 to \(maximum) letters, digits, `.`, `_` or `-`"
    }
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
    case .endpoint: return TrainerEndpoint.isValid(text) ? .text(text) : nil
    default: return nil
    }
  }
}
