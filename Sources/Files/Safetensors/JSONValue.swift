import Foundations

/// A JSON document. Numbers keep the text they were written with, so that a configuration that is read and written again says
/// what it said: 1e-12 and 10000.0 stay what they are.
package enum JSONValue: Sendable, Equatable {
  case null
  case boolean(Bool)
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([String: JSONValue])

  static let maxNesting = 64

  /// - Parameter bytes: any bytes.
  /// - Throws: `notJSON` with the byte where it ends being JSON; also for a key given twice and for nesting beyond
  ///   `maxNesting`.
  package static func parse(_ bytes: [UInt8]) throws(HuggingFaceProblem) -> JSONValue {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw .notJSON("not UTF-8 text", offset: 0) }
    var json = HeaderJSON(bytes[...])
    do throws(SafetensorsProblem) {
      let value = try json.value(depth: 0)
      json.skipSpace()
      guard json.position == bytes.count else { throw json.failure("something follows the value") }
      return value
    } catch {
      if case .json(let problem, let offset) = error { throw .notJSON(problem, offset: offset) }
      throw .notJSON(error.description, offset: json.offset)
    }
  }

  /// The text of the value, keys sorted, indented by two spaces as Hugging Face's libraries write it.
  package func text(indent: Int = 0) -> String {
    let inner = String(repeating: " ", count: indent + 2)
    let outer = String(repeating: " ", count: indent)
    switch self {
    case .null: return "null"
    case .boolean(let value): return value ? "true" : "false"
    case .number(let text): return text
    case .string(let text): return Self.quoted(text)
    case .array(let values):
      guard !values.isEmpty else { return "[]" }
      return "[\n" + values.map { inner + $0.text(indent: indent + 2) }.joined(separator: ",\n") + "\n\(outer)]"
    case .object(let members):
      guard !members.isEmpty else { return "{}" }
      let lines = members.sorted { $0.key < $1.key }.map { key, value in
        "\(inner)\(Self.quoted(key)): \(value.text(indent: indent + 2))"
      }
      return "{\n" + lines.joined(separator: ",\n") + "\n\(outer)}"
    }
  }

  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\u{0}"..<" ":
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
  package init(stringLiteral value: String) { self = .string(value) }
  package init(integerLiteral value: Int) { self = .number("\(value)") }
  package init(booleanLiteral value: Bool) { self = .boolean(value) }
}

extension HeaderJSON {
  /// Any value. The recursion is bounded by `JSONValue.maxNesting`.
  mutating func value(depth: Int) throws(SafetensorsProblem) -> JSONValue {
    guard depth < JSONValue.maxNesting else { throw failure("nested too deeply") }
    skipSpace()
    guard position < bytes.endIndex else { throw failure("a value is missing") }
    switch bytes[position] {
    case UInt8(ascii: "{"):
      var members: [String: JSONValue] = [:]
      try object { (json, key) throws(SafetensorsProblem) in
        let value = try json.value(depth: depth + 1)
        guard members.updateValue(value, forKey: key) == nil else {
          throw json.failure("`\(key.printable(limit: 80))` is given twice")
        }
      }
      return .object(members)
    case UInt8(ascii: "["): return .array(try array(depth: depth))
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
    default:
      for (word, value) in [("null", JSONValue.null), ("true", .boolean(true)), ("false", .boolean(false))]
      where bytes[position...].starts(with: word.utf8) {
        position += word.utf8.count
        return value
      }
      throw failure("expected a value")
    }
  }

  private mutating func array(depth: Int) throws(SafetensorsProblem) -> [JSONValue] {
    try expect("[")
    if accept("]") { return [] }
    var values: [JSONValue] = []
    repeat { values.append(try value(depth: depth + 1)) } while accept(",")
    try expect("]")
    return values
  }

  /// The text of a number, by the grammar of RFC 8259, section 6.
  private mutating func number() throws(SafetensorsProblem) -> String {
    let start = position
    if bytes[position] == UInt8(ascii: "-") { position += 1 }
    let whole = digits()
    guard whole == 1 || (whole > 1 && bytes[position - whole] != UInt8(ascii: "0")) else {
      throw failure("not a number")
    }
    if next(is: ".") {
      position += 1
      guard digits() > 0 else { throw failure("not a number") }
    }
    if next(is: "e") || next(is: "E") {
      position += 1
      if next(is: "+") || next(is: "-") { position += 1 }
      guard digits() > 0 else { throw failure("not a number") }
    }
    return String(decoding: bytes[start..<position], as: UTF8.self)
  }

  private func next(is character: Unicode.Scalar) -> Bool {
    position < bytes.endIndex && UInt32(bytes[position]) == character.value
  }

  /// Passes digits over and says how many there were.
  private mutating func digits() -> Int {
    let start = position
    while position < bytes.endIndex, (0x30...0x39).contains(bytes[position]) { position += 1 }
    return position - start
  }
}
