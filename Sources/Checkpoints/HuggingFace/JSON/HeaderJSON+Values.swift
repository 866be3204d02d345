import Failures

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
