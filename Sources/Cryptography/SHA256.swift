internal import CSodium

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
  }
}
