import Foundations
import Foundation

/// Takes little-endian fields off a header frame, each checked against what is left.
package struct WireReader {
  private var rest: Data.SubSequence

  init(_ data: Data) {
    rest = data[...]
  }

  var isAtEnd: Bool { rest.isEmpty }

  package mutating func read<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(WireError) -> Number {
    var number: Number = 0
    for (position, byte) in try take(MemoryLayout<Number>.size).enumerated() {
      number |= Number(truncatingIfNeeded: UInt64(byte)) << (8 * position)
    }
    return number
  }

  package mutating func readDouble() throws(WireError) -> Double {
    Double(bitPattern: try read(UInt64.self))
  }

  /// A 64-bit count or index, 0 … 2^62, so that adding two of them cannot overflow.
  package mutating func readIndex() throws(WireError) -> Int {
    let value = try read(UInt64.self)
    guard let index = Int(exactly: value), index <= 1 << 62 else {
      throw .malformed("an index out of range")
    }
    return index
  }

  /// Text in its printable form, at most `limit` characters.
  package mutating func readText(limit: Int) throws(WireError) -> String {
    let bytes = try take(Int(try read(UInt32.self)))
    guard let text = String(validating: bytes, as: UTF8.self) else { throw .malformed("text that is not UTF-8") }
    return text.printable(limit: limit)
  }

  mutating func take(_ count: Int) throws(WireError) -> Data {
    guard count >= 0, rest.count >= count else { throw .malformed("the header ends early") }
    let taken = rest.prefix(count)
    rest = rest.dropFirst(count)
    return taken
  }

  /// Everything that is left.
  mutating func takeRest() -> Data {
    defer { rest = rest.suffix(0) }
    return rest
  }
}

/// Appends little-endian fields to a header frame.
package struct WireWriter {
  private(set) var data = Data()

  package mutating func write<Number: FixedWidthInteger>(_ number: Number) {
    withUnsafeBytes(of: number.littleEndian) { data.append(contentsOf: $0) }
  }

  package mutating func write(_ number: Double) {
    write(number.bitPattern)
  }

  mutating func write(_ bytes: some Collection<UInt8>) {
    data.append(contentsOf: bytes)
  }

  /// UTF-8 with a 32-bit length in front.
  package mutating func write(text: String) {
    let utf8 = Array(text.utf8)
    write(UInt32(clamping: utf8.count))
    write(utf8)
  }
}
