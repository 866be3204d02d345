import Cryptography

/// Shamir's sharing of 32-byte secrets among holders 1…n ("How to share a secret", 1979): any `threshold` shares give the secret, fewer
/// give nothing. A secret is five limbs of at most 56 bits, each the value at 0 of its own polynomial over `FieldElement`; holder x has the
/// values at x. There is no holder 0: its share would be the secret.
enum SecretSharing {
  static let secretByteCount = 32
  /// Five field elements, 64-bit little-endian.
  static let shareByteCount = limbCount * 8
  private static let limbCount = 5
  private static let limbByteCount = 7

  /// Shares of holders 1…`holders`, one after the other, `shareByteCount` bytes each.
  ///
  /// - Parameter secret: `secretByteCount` bytes.
  /// - Throws: `.threshold` unless 1 ≤ threshold ≤ holders; `.secretSize`.
  static func split(_ secret: SecretBuffer, threshold: Int, holders: Int) throws(SharingError) -> SecretBuffer {
    guard secret.bytes.count == secretByteCount else { throw .secretSize(secret.bytes.count) }
    guard threshold >= 1, holders >= threshold else { throw .threshold(threshold, holders: holders) }
    let shares = SecretBuffer(byteCount: holders * shareByteCount)
    let coefficients = SecretBuffer(byteCount: threshold * 8)
    for limb in 0..<limbCount {
      fill(coefficients, constant: read(limb, of: UnsafeRawBufferPointer(secret.bytes)))
      for holder in 1...holders {
        let x = FieldElement(reducing: UInt64(holder))
        // Horner's rule, from the highest power down.
        var value = FieldElement.zero
        for power in (0..<threshold).reversed() {
          let word = coefficients.bytes.load(fromByteOffset: power * 8, as: UInt64.self)
          value = value * x + FieldElement(reducing: word)
        }
        shares.bytes.storeBytes(
          of: value.value.littleEndian, toByteOffset: (holder - 1) * shareByteCount + limb * 8, as: UInt64.self)
      }
    }
    return shares
  }

  /// The secret of at least `threshold` shares; the first `threshold` are used. Whether it is the secret that was split shows in its
  /// commitment only: other shares give another secret.
  ///
  /// - Throws: `.holder` for a holder below 1 or above `holders`; `.twice` for one that is there twice; `.tooFew`; `.notAShare` for bytes
  ///   that are no share, or shares that belong to no secret.
  static func rebuild(
    _ shares: [(holder: Int, bytes: [UInt8])], threshold: Int, holders: Int
  ) throws(SharingError) -> SecretBuffer {
    var seen = Set<Int>()
    for share in shares {
      guard (1...max(1, holders)).contains(share.holder) else { throw .holder(share.holder) }
      guard seen.insert(share.holder).inserted else { throw .twice(share.holder) }
    }
    guard threshold >= 1, shares.count >= threshold else { throw .tooFew(shares.count, threshold: threshold) }
    let used = shares.prefix(threshold)
    let weights = weightsAtZero(of: used.map(\.holder))
    let secret = SecretBuffer(byteCount: secretByteCount)
    for limb in 0..<limbCount {
      var value = FieldElement.zero
      for (share, weight) in zip(used, weights) {
        guard let element = element(limb, of: share.bytes) else { throw .notAShare(holder: share.holder) }
        value = value + element * weight
      }
      guard write(value, limb, to: secret) else { throw .notAShare(holder: nil) }
    }
    return secret
  }

  /// Whether the bytes can be a share: the right number, each limb an element of the field.
  static func isShare(_ bytes: [UInt8]) -> Bool {
    bytes.count == shareByteCount && (0..<limbCount).allSatisfy { element($0, of: bytes) != nil }
  }

  /// The same of several shares, one after the other.
  static func areShares(_ buffer: SecretBuffer) -> Bool {
    buffer.withUnsafeBytes { bytes in
      bytes.count.isMultiple(of: shareByteCount)
        && stride(from: 0, to: bytes.count, by: 8).allSatisfy {
          FieldElement(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt64.self))) != nil
        }
    }
  }

  /// Lagrange's weights: the value at 0 of a polynomial of lower degree than there are holders is Σ weight · value at x.
  private static func weightsAtZero(of holders: [Int]) -> [FieldElement] {
    let points = holders.map { FieldElement(reducing: UInt64($0)) }
    return points.map { own in
      var above = FieldElement.one
      var below = FieldElement.one
      for other in points where other != own {
        above = above * other
        below = below * (other - own)
      }
      return above * below.inverse
    }
  }

  /// A polynomial with uniform coefficients but its constant one, as native 64-bit words.
  private static func fill(_ coefficients: SecretBuffer, constant: UInt64) {
    coefficients.bytes.storeBytes(of: constant, toByteOffset: 0, as: UInt64.self)
    let power = coefficients.bytes.count / 8
    let random = SecretBuffer.random(byteCount: coefficients.bytes.count)
    for index in 1..<max(1, power) {
      var word = random.bytes.load(fromByteOffset: index * 8, as: UInt64.self) & FieldElement.modulus
      // Of 2⁶¹ values one is not of the field.
      while FieldElement(word) == nil {
        word = SecretBuffer.random(byteCount: 8).withUnsafeBytes { $0.load(as: UInt64.self) } & FieldElement.modulus
      }
      coefficients.bytes.storeBytes(of: word, toByteOffset: index * 8, as: UInt64.self)
    }
  }

  private static func byteRange(of limb: Int) -> Range<Int> {
    limb * limbByteCount..<min(secretByteCount, (limb + 1) * limbByteCount)
  }

  private static func read(_ limb: Int, of secret: UnsafeRawBufferPointer) -> UInt64 {
    byteRange(of: limb).reversed().reduce(0) { $0 << 8 | UInt64(secret[$1]) }
  }

  /// False for a value that is no limb of a secret.
  private static func write(_ value: FieldElement, _ limb: Int, to secret: SecretBuffer) -> Bool {
    var rest = value.value
    for index in byteRange(of: limb) {
      secret.bytes[index] = UInt8(truncatingIfNeeded: rest)
      rest >>= 8
    }
    return rest == 0
  }

  private static func element(_ limb: Int, of share: [UInt8]) -> FieldElement? {
    guard share.count == shareByteCount else { return nil }
    return FieldElement((0..<8).reversed().reduce(0) { $0 << 8 | UInt64(share[limb * 8 + $1]) })
  }
}

/// Why a secret cannot be shared or rebuilt.
enum SharingError: Error, Equatable {
  case secretSize(Int)
  case threshold(Int, holders: Int)
  /// No holder has this number.
  case holder(Int)
  case twice(Int)
  case tooFew(Int, threshold: Int)
  /// Bytes that are no share, or, with no holder, shares that belong to no secret.
  case notAShare(holder: Int?)
}
