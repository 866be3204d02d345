import Cryptography

/// What is added to a site's vector, or taken from a sum, modulo 2⁶⁴: keystreams of ChaCha20 under one key each (nonce 0, from block 0),
/// read as little-endian 64-bit words.
///
/// A key is for one vector only, which is why no nonce is needed.
struct SumMasks {
  /// What a key's stream does to an entry.
  enum Direction {
    case add
    case subtract

    var opposite: Direction { self == .add ? .subtract : .add }

    /// What the stream that two sites share does to the vector of the first.
    static func between(_ site: Int, _ other: Int) -> Direction { site < other ? .add : .subtract }
  }

  /// Words worked on at a time: chunk and stream stay in the first cache, and a chunk is whole blocks of the cipher.
  static let chunkLength = 2048

  private var streams: [(key: SecretBuffer, direction: Direction)] = []

  /// - Parameter key: 32 bytes.
  mutating func append(_ key: SecretBuffer, _ direction: Direction) {
    streams.append((key, direction))
  }

  /// What takes these masks away.
  mutating func reverse() {
    streams = streams.map { ($0.key, $0.direction.opposite) }
  }

  /// Applies every stream to every entry, in place. Memory beside the vector: one chunk.
  func apply(to vector: inout [UInt64]) {
    // A keystream is as secret as its key, so that it is zeroed.
    let stream = SecretBuffer(byteCount: Self.chunkLength * 8)
    vector.withUnsafeMutableBufferPointer { vector in
      var start = 0
      while start < vector.count {
        let chunk = UnsafeMutableBufferPointer(rebasing: vector[start..<min(vector.count, start + Self.chunkLength)])
        let output = UnsafeMutableRawBufferPointer(rebasing: stream.bytes.prefix(chunk.count * 8))
        for (key, direction) in streams {
          ChaCha20.fill(output, key: UnsafeRawBufferPointer(key.bytes), nonce: 0, counter: UInt64(start / 8))
          output.withMemoryRebound(to: UInt64.self) { words in
            switch direction {
            case .add: for index in chunk.indices { chunk[index] &+= UInt64(littleEndian: words[index]) }
            case .subtract: for index in chunk.indices { chunk[index] &-= UInt64(littleEndian: words[index]) }
            }
          }
        }
        start += chunk.count
      }
    }
  }
}

/// Of which sum a mask is: what the pairwise keys are derived for, beside the two sites.
struct SumMaskLabel {
  let charterDigest: [UInt8]
  let sum: UInt64
  let attempt: UInt32
  let cohortDigest: [UInt8]

  /// The key that two sites share for this sum: HKDF of their shared secret, the same from either side. The site with the lower number
  /// adds its stream and the other subtracts it, so that the two cancel in a sum over both.
  ///
  /// - Parameters:
  ///   - own: one site's pair for this sum.
  ///   - publicKey: the other's.
  ///   - sites: their numbers, in any order.
  /// - Throws: `.size` and `.weakPublicKey` for the other's key.
  func pairKey(own: KeyAgreement, publicKey: [UInt8], sites: (Int, Int)) throws(CryptographyError) -> SecretBuffer {
    let shared = try own.sharedSecret(with: publicKey)
    let low = UInt32(clamping: min(sites.0, sites.1))
    let high = UInt32(clamping: max(sites.0, sites.1))
    var info = Array("pairwise mask".utf8) + charterDigest
    for number in [sum, UInt64(attempt)] { withUnsafeBytes(of: number.littleEndian) { info += $0 } }
    info += cohortDigest
    for number in [low, high] { withUnsafeBytes(of: number.littleEndian) { info += $0 } }
    return shared.withUnsafeBytes { HKDF.deriveKey(from: $0, info: info, byteCount: ChaCha20.keyByteCount) }
  }
}
