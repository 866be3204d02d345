import Foundation

/// Appends little-endian fields to a header frame.
struct WireWriter {
  private(set) var data = Data()

  mutating func write<Number: FixedWidthInteger>(_ number: Number) {
    withUnsafeBytes(of: number.littleEndian) { data.append(contentsOf: $0) }
  }

  mutating func write(_ number: Double) {
    write(number.bitPattern)
  }

  mutating func write(_ bytes: some Collection<UInt8>) {
    data.append(contentsOf: bytes)
  }

  /// UTF-8 with a 32-bit length in front.
  mutating func write(text: String) {
    let utf8 = Array(text.utf8)
    write(UInt32(clamping: utf8.count))
    write(utf8)
  }
}
