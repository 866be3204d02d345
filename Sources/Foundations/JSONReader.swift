/// Reads JSON (RFC 8259) one token after the other, without recursion: what headers of tensor files need, in which a key that is given
/// twice is the caller's to see. `JSONValue` reads whole documents with it.
///
/// Generic in the error, so that each format's own says where its JSON is wrong.
package struct JSONReader<Failure: JSONFailure> {
  let bytes: ArraySlice<UInt8>
  var position: Int

  /// - Parameter bytes: valid UTF-8.
  package init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  /// Bytes read so far.
  package var offset: Int { position - bytes.startIndex }

  package func failure(_ problem: String) -> Failure {
    .json(problem, offset: offset)
  }

  /// Whether `character` comes next, after white space; it is consumed when it does.
  package mutating func accept(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < bytes.endIndex, UInt32(bytes[position]) == character.value else { return false }
    position += 1
    return true
  }

  package mutating func expect(_ character: Unicode.Scalar) throws(Failure) {
    if !accept(character) { throw failure("expected `\(character)`") }
  }

  /// Calls `entry` after each key of an object.
  package mutating func object(
    _ entry: (inout JSONReader, String) throws(Failure) -> Void
  ) throws(Failure) {
    try expect("{")
    if accept("}") { return }
    repeat {
      let key = try string()
      try expect(":")
      try entry(&self, key)
    } while accept(",")
    try expect("}")
  }

  /// A list of non-negative integers, at most `limit`; nil when there are more.
  package mutating func integers(limit: Int) throws(Failure) -> [Int]? {
    try expect("[")
    if accept("]") { return [] }
    var values: [Int] = []
    repeat {
      guard values.count < limit else { return nil }
      values.append(try integer())
    } while accept(",")
    try expect("]")
    return values
  }

  private mutating func integer() throws(Failure) -> Int {
    skipSpace()
    let start = position
    var value = 0
    while position < bytes.endIndex, (0x30...0x39).contains(bytes[position]) {
      let (tens, overflowTens) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflowSum) = tens.addingReportingOverflow(Int(bytes[position] - 0x30))
      if overflowTens || overflowSum { throw failure("a number is too large") }
      value = sum
      position += 1
    }
    if position == start { throw failure("expected a non-negative integer") }
    if bytes[start] == 0x30, position > start + 1 { throw failure("a number begins with 0") }
    return value
  }

  package mutating func string() throws(Failure) -> String {
    try expect("\"")
    var result = String.UnicodeScalarView()
    var literal = position
    while position < bytes.endIndex {
      let byte = bytes[position]
      switch byte {
      case 0x22:
        append(literal, to: &result)
        position += 1
        return String(result)
      case 0x5C:
        append(literal, to: &result)
        position += 1
        result.append(try escape())
        literal = position
      case 0..<0x20: throw failure("a control character in a string")
      default: position += 1
      }
    }
    throw failure("a string has no end")
  }

  private func append(_ start: Int, to result: inout String.UnicodeScalarView) {
    result.append(contentsOf: String(decoding: bytes[start..<position], as: UTF8.self).unicodeScalars)
  }

  private mutating func escape() throws(Failure) -> Unicode.Scalar {
    guard position < bytes.endIndex else { throw failure("a string has no end") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case 0x22, 0x5C, 0x2F: return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"): return try unicodeEscape()
    default: throw failure("an unknown escape in a string")
    }
  }

  /// The scalar after `\u`, from one code unit or a surrogate pair.
  private mutating func unicodeEscape() throws(Failure) -> Unicode.Scalar {
    let first = try codeUnit()
    if let scalar = Unicode.Scalar(first) { return scalar }
    guard first < 0xDC00, position + 1 < bytes.endIndex, bytes[position] == 0x5C,
      bytes[position + 1] == UInt8(ascii: "u")
    else { throw failure("half a surrogate pair in a string") }
    position += 2
    let second = try codeUnit()
    guard (0xDC00..<0xE000).contains(second),
      let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
    else { throw failure("half a surrogate pair in a string") }
    return scalar
  }

  private mutating func codeUnit() throws(Failure) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard position < bytes.endIndex, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
        throw failure("an escape needs four hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  package mutating func skipSpace() {
    while position < bytes.endIndex, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[position]) { position += 1 }
  }

  /// Whether nothing but spaces is left.
  package var onlySpacesAreLeft: Bool {
    bytes[position...].allSatisfy { $0 == 0x20 }
  }
}

/// An error that says what is wrong with JSON, and at which byte from the first.
package protocol JSONFailure: Error {
  static func json(_ problem: String, offset: Int) -> Self
}
