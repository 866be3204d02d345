import Cryptography
import Foundations

/// Writes little-endian fields, in two passes: the first counts, the second fills memory of that size, so that no secret is left behind
/// in memory that grew.
struct ByteWriter {
  private let target: UnsafeMutableRawBufferPointer?
  private var count = 0

  /// - Parameter body: called twice, and must write the same both times.
  static func message(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
    let count = size(body)
    var bytes = [UInt8](repeating: 0, count: count)
    bytes.withUnsafeMutableBytes { fill($0, body) }
    return bytes
  }

  /// The same, for what holds secrets.
  static func secret(_ body: (inout ByteWriter) -> Void) -> SecretBuffer {
    let buffer = SecretBuffer(byteCount: max(1, size(body)))
    fill(buffer.bytes, body)
    return buffer
  }

  private static func size(_ body: (inout ByteWriter) -> Void) -> Int {
    var counting = ByteWriter(target: nil)
    body(&counting)
    return counting.count
  }

  private static func fill(_ target: UnsafeMutableRawBufferPointer, _ body: (inout ByteWriter) -> Void) {
    var writer = ByteWriter(target: target)
    body(&writer)
  }

  mutating func write(_ number: some FixedWidthInteger) {
    withUnsafeBytes(of: number.littleEndian) { write(raw: $0) }
  }

  mutating func write(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { write(raw: $0) }
  }

  mutating func write(_ secret: SecretBuffer) {
    secret.withUnsafeBytes { write(raw: $0) }
  }

  /// UTF-8 with a 32-bit length in front.
  mutating func write(text: String) {
    write(sized: Array(text.utf8))
  }

  /// With a 32-bit length in front; at most 4 GiB.
  mutating func write(sized bytes: [UInt8]) {
    write(UInt32(clamping: bytes.count))
    write(bytes)
  }

  mutating func write(raw bytes: UnsafeRawBufferPointer) {
    if let target, target.count - count >= bytes.count {
      UnsafeMutableRawBufferPointer(rebasing: target[count...]).copyMemory(from: bytes)
    }
    count += bytes.count
  }
}
