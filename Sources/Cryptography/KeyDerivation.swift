internal import CSodium

enum Sodium {
  /// Once a process: libsodium then picks the vector code for this processor. Its results do not depend on that.
  private static let started: Bool = sodium_init() >= 0

  static func start() {
    _ = started
  }
}

/// HKDF with SHA-256 and no salt (RFC 5869).
package enum HKDF {
  /// The longest output: 255 blocks.
  static let longestOutput = 255 * SHA256.byteCount

  /// A key for one purpose.
  ///
  /// - Parameters:
  ///   - secret: the input keying material, of any length.
  ///   - info: what the key is for.
  ///   - byteCount: 1 to `longestOutput`; more is cut to that.
  package static func deriveKey(from secret: UnsafeRawBufferPointer, info: [UInt8], byteCount: Int) -> SecretBuffer {
    // §2.2: a salt that is not given is as many zeros as a hash has bytes.
    let pseudorandomKey = SecretBuffer(byteCount: SHA256.byteCount)
    authenticate([secret], key: SecretBuffer(byteCount: SHA256.byteCount), into: pseudorandomKey)
    let output = SecretBuffer(byteCount: min(byteCount, longestOutput))
    // §2.3: T(i) = HMAC(PRK, T(i − 1) | info | i).
    let block = SecretBuffer(byteCount: SHA256.byteCount)
    var written = 0
    var number: UInt8 = 1
    info.withUnsafeBytes { info in
      while written < output.bytes.count {
        let before = UnsafeRawBufferPointer(rebasing: block.bytes.prefix(written == 0 ? 0 : SHA256.byteCount))
        withUnsafeBytes(of: number) { authenticate([before, info, $0], key: pseudorandomKey, into: block) }
        let count = min(SHA256.byteCount, output.bytes.count - written)
        block.withUnsafeBytes { block in
          UnsafeMutableRawBufferPointer(rebasing: output.bytes[written...])
            .copyMemory(from: UnsafeRawBufferPointer(rebasing: block.prefix(count)))
        }
        written += count
        number &+= 1
      }
    }
    return output
  }

  /// HMAC-SHA-256 of the pieces one after the other; `tag` has a digest's bytes, and may hold one of the pieces.
  private static func authenticate(_ pieces: [UnsafeRawBufferPointer], key: SecretBuffer, into tag: SecretBuffer) {
    var state = crypto_auth_hmacsha256_state()
    crypto_auth_hmacsha256_init(&state, key.base, key.bytes.count)
    for piece in pieces {
      guard let base = piece.baseAddress?.assumingMemoryBound(to: UInt8.self) else { continue }
      crypto_auth_hmacsha256_update(&state, base, UInt64(piece.count))
    }
    crypto_auth_hmacsha256_final(&state, tag.base)
    sodium_memzero(&state, MemoryLayout<crypto_auth_hmacsha256_state>.size)
  }
}

/// ChaCha20 with the original 64-bit block counter and 64-bit nonce, as a source of numbers. Its time does not depend on the key.
package enum ChaCha20 {
  package static let keyByteCount = Int(crypto_stream_chacha20_KEYBYTES)

  /// Writes the keystream from block `counter` on; a block is 64 bytes.
  ///
  /// - Parameter key: `keyByteCount` bytes.
  package static func fill(
    _ output: UnsafeMutableRawBufferPointer, key: UnsafeRawBufferPointer, nonce: UInt64, counter: UInt64
  ) {
    precondition(key.count == keyByteCount, "a key of ChaCha20 has \(keyByteCount) bytes")
    guard let bytes = output.baseAddress, let key = key.baseAddress else { return }
    Sodium.start()
    // The keystream is what zeros are encrypted to.
    let target = bytes.initializeMemory(as: UInt8.self, repeating: 0, count: output.count)
    withUnsafeBytes(of: nonce.littleEndian) { nonce in
      guard let nonce = nonce.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      _ = crypto_stream_chacha20_xor_ic(
        target, target, UInt64(output.count), nonce, counter, key.assumingMemoryBound(to: UInt8.self))
    }
  }
}

/// SHA-256 (FIPS 180-4), over bytes that come in pieces.
package struct SHA256 {
  package static let byteCount = 32

  private var state = crypto_hash_sha256_state()

  package init() {
    crypto_hash_sha256_init(&state)
  }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    crypto_hash_sha256_update(&state, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
  }

  package mutating func update(_ bytes: some Sequence<UInt8>) {
    let done: Void? = bytes.withContiguousStorageIfAvailable { update(UnsafeRawBufferPointer($0)) }
    if done == nil { Array(bytes).withUnsafeBytes { update($0) } }
  }

  /// The digest of everything so far.
  package consuming func finalize() -> Digest {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    crypto_hash_sha256_final(&state, &bytes)
    return Digest(bytes: bytes)
  }

  package static func hash(_ bytes: some Sequence<UInt8>) -> Digest {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finalize()
  }

  /// 32 bytes.
  package struct Digest: Sendable, Equatable {
    package let bytes: [UInt8]

    /// - Parameter bytes: `byteCount` of them, of a digest that was written down.
    package init(bytes: [UInt8]) {
      self.bytes = bytes
    }
  }
}
