import Foundations

/// XXH64 (Yann Collet, xxHash specification, version 0.1.1, section "XXH64 algorithm description"): finds damage that
/// leaves a file's structure whole. It does not protect against deliberate changes.
package struct ContentHash {
  private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
  private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
  private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
  private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

  private var lanes: SIMD4<UInt64>
  /// Bytes that do not fill a stripe of 32 yet.
  private var pending: [UInt8] = []
  private var length: UInt64 = 0

  package init() {
    lanes = SIMD4(Self.prime1 &+ Self.prime2, Self.prime2, 0, 0 &- Self.prime1)
  }

  /// XXH64 of the bytes as 16 hexadecimal digits.
  package static func hexadecimal(of bytes: UnsafeRawBufferPointer) -> String {
    var hash = ContentHash()
    hash.update(bytes)
    return hash.value().hexadecimal
  }

  /// The result depends on the bytes alone, not on how they were cut into calls.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    length &+= UInt64(bytes.count)
    var rest = bytes[...]
    if !pending.isEmpty {
      let missing = rest.prefix(32 - pending.count)
      pending.append(contentsOf: missing)
      rest = rest.dropFirst(missing.count)
      guard pending.count == 32 else { return }
      let stripe = pending
      stripe.withUnsafeBytes { consume($0) }
      pending.removeAll(keepingCapacity: true)
    }
    let whole = rest.count - rest.count % 32
    consume(UnsafeRawBufferPointer(rebasing: rest.prefix(whole)))
    pending.append(contentsOf: rest.dropFirst(whole))
  }

  package mutating func update(_ text: String) {
    var text = text
    text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
  }

  package func value() -> UInt64 {
    var hash: UInt64
    if length >= 32 {
      hash = rotated(lanes[0], 1) &+ rotated(lanes[1], 7) &+ rotated(lanes[2], 12) &+ rotated(lanes[3], 18)
      for lane in 0..<4 {
        hash = (hash ^ round(0, lanes[lane])) &* Self.prime1 &+ Self.prime4
      }
    } else {
      hash = Self.prime5
    }
    hash &+= length
    var rest = pending[...]
    while rest.count >= 8 {
      hash = rotated(hash ^ round(0, littleEndian(rest.prefix(8))), 27) &* Self.prime1 &+ Self.prime4
      rest = rest.dropFirst(8)
    }
    if rest.count >= 4 {
      hash = rotated(hash ^ littleEndian(rest.prefix(4)) &* Self.prime1, 23) &* Self.prime2 &+ Self.prime3
      rest = rest.dropFirst(4)
    }
    for byte in rest { hash = rotated(hash ^ UInt64(byte) &* Self.prime5, 11) &* Self.prime1 }
    hash = (hash ^ hash >> 33) &* Self.prime2
    hash = (hash ^ hash >> 29) &* Self.prime3
    return hash ^ hash >> 32
  }

  /// - Parameter stripes: a multiple of 32 bytes.
  private mutating func consume(_ stripes: UnsafeRawBufferPointer) {
    var (a, b, c, d) = (lanes[0], lanes[1], lanes[2], lanes[3])
    var offset = 0
    while offset < stripes.count {
      a = round(a, UInt64(littleEndian: stripes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
      b = round(b, UInt64(littleEndian: stripes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self)))
      c = round(c, UInt64(littleEndian: stripes.loadUnaligned(fromByteOffset: offset + 16, as: UInt64.self)))
      d = round(d, UInt64(littleEndian: stripes.loadUnaligned(fromByteOffset: offset + 24, as: UInt64.self)))
      offset += 32
    }
    lanes = SIMD4(a, b, c, d)
  }

  private func round(_ lane: UInt64, _ input: UInt64) -> UInt64 {
    rotated(lane &+ input &* Self.prime2, 31) &* Self.prime1
  }

  private func rotated(_ value: UInt64, _ bits: UInt64) -> UInt64 {
    value << bits | value >> (64 - bits)
  }

  private func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}

/// The hash of a checkpoint file's content: of every tensor's name, shape and bytes in order, then of the metadata, which
/// is last because a file's own says more than is known when its first tensor is written.
struct CheckpointHash {
  private var hash = ContentHash()

  mutating func begin(_ tensor: TensorDescription) {
    begin(tensor.name, shape: tensor.shape)
  }

  mutating func begin(_ name: String, shape: [Int]) {
    hash.update("\(name)\(shape)\n")
  }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    hash.update(bytes)
  }

  /// 16 hexadecimal digits.
  func text(_ metadata: [String: String]) -> String {
    var hash = hash
    for (key, text) in metadata.sorted(by: { $0.key < $1.key }) where key != CheckpointFormat.hashKey {
      hash.update("\(key)=\(text)\n")
    }
    return hash.value().hexadecimal
  }

  static let digits = 16
  /// Stands in a file whose hash is not known yet.
  static let placeholder = String(repeating: "0", count: digits)
}
