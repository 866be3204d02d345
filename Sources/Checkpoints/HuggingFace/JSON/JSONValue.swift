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
  static func parse(_ bytes: [UInt8]) throws(HuggingFaceProblem) -> JSONValue {
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
