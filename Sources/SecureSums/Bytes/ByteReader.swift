import Cryptography
import Foundations

/// Takes little-endian fields off the bytes of a message or a state, each checked against what is left: nothing is allocated for what is
/// not there.
struct ByteReader {
  private var rest: UnsafeRawBufferPointer

  /// Reads all of `bytes` with `body`; what is left over is an error.
  static func read<Value>(
    _ bytes: [UInt8], _ body: (inout ByteReader) throws(SumError) -> Value
  ) throws(SumError) -> Value {
    let result: Result<Value, SumError> = bytes.withUnsafeBytes { bytes in
      Result { () throws(SumError) in try read(raw: bytes, body) }
    }
    return try result.get()
  }

  /// The same, of memory that holds secrets.
  static func read<Value>(
    raw bytes: UnsafeRawBufferPointer, _ body: (inout ByteReader) throws(SumError) -> Value
  ) throws(SumError) -> Value {
    var reader = ByteReader(rest: bytes)
    let value = try body(&reader)
    guard reader.rest.isEmpty else { throw .malformed("\(reader.rest.count) bytes too many") }
    return value
  }

  private init(rest: UnsafeRawBufferPointer) {
    self.rest = rest
  }

  mutating func integer<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(SumError) -> Number {
    let bytes = try take(MemoryLayout<Number>.size)
    return bytes.reversed().reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
  }

  /// A count in a range.
  mutating func count(_ range: ClosedRange<Int>, _ what: String) throws(SumError) -> Int {
    let value = Int(try integer(UInt32.self))
    guard range.contains(value) else {
      throw .malformed("\(value) \(what), expected \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  mutating func bytes(_ count: Int) throws(SumError) -> [UInt8] {
    Array(try take(count))
  }

  /// A digest or a key.
  mutating func bytes32() throws(SumError) -> [UInt8] { try bytes(32) }

  /// A copy; at least 1 byte.
  mutating func secret(_ count: Int) throws(SumError) -> SecretBuffer {
    guard count >= 1 else { throw .malformed("an empty secret") }
    return SecretBuffer(copying: try take(count))
  }

  /// Bytes with a 32-bit length in front.
  mutating func sized() throws(SumError) -> [UInt8] {
    try bytes(Int(try integer(UInt32.self)))
  }

  /// 1 to 80 bytes of UTF-8 that are printable as they are.
  mutating func text(_ what: String) throws(SumError) -> String {
    guard let text = String(validating: try sized(), as: UTF8.self), SumLimits.isText(text) else {
      throw .malformed("\(what) that is not 1 to \(SumLimits.textBytes) printable bytes")
    }
    return text
  }

  /// A site's number, never 0.
  mutating func site(_ roster: SumRoster) throws(SumError) -> Int {
    let number = Int(try integer(UInt32.self))
    guard roster.numbers.contains(number) else { throw .malformed("a site of number \(number)") }
    return number
  }

  /// Entries that begin with a site's number, in the order of the charter, none twice; at most one a site.
  mutating func list<Value>(
    _ roster: SumRoster, _ entry: (Int, inout ByteReader) throws(SumError) -> Value
  ) throws(SumError) -> [(site: Int, value: Value)] {
    let count = try count(0...roster.sites.count, "entries of a list of sites")
    var list: [(site: Int, value: Value)] = []
    for _ in 0..<count {
      let site = try site(roster)
      if let last = list.last, site <= last.site {
        throw .malformed(
          site == last.site ? "site \(site) is listed twice" : "a list that is not in the charter's order")
      }
      list.append((site, try entry(site, &self)))
    }
    return list
  }

  mutating func sites(_ roster: SumRoster) throws(SumError) -> [Int] {
    try list(roster) { (_, _) throws(SumError) in () }.map(\.site)
  }

  mutating func flag() throws(SumError) -> Bool {
    switch try integer(UInt8.self) {
    case 0: false
    case 1: true
    default: throw .malformed("a flag that is neither 0 nor 1")
    }
  }

  /// What is there when a flag in front says so.
  mutating func optional<Value>(
    _ body: (inout ByteReader) throws(SumError) -> Value
  ) throws(SumError) -> Value? {
    try flag() ? try body(&self) : nil
  }

  var count: Int { rest.count }

  private mutating func take(_ count: Int) throws(SumError) -> UnsafeRawBufferPointer {
    guard count >= 0, rest.count >= count else { throw .malformed("it ends early") }
    defer { rest = UnsafeRawBufferPointer(rebasing: rest[count...]) }
    return UnsafeRawBufferPointer(rebasing: rest[..<count])
  }
}

extension ByteWriter {
  /// Entries that begin with a site's number.
  mutating func write<Value>(
    list: [(site: Int, value: Value)], _ entry: (Value, inout ByteWriter) -> Void
  ) {
    write(UInt32(list.count))
    for (site, value) in list {
      write(UInt32(site))
      entry(value, &self)
    }
  }

  mutating func write(sites: [Int]) {
    write(UInt32(sites.count))
    for site in sites { write(UInt32(site)) }
  }

  mutating func write(flag: Bool) {
    write(UInt8(flag ? 1 : 0))
  }

  mutating func write<Value>(optional value: Value?, _ body: (Value, inout ByteWriter) -> Void) {
    write(flag: value != nil)
    if let value { body(value, &self) }
  }
}
