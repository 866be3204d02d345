internal import CSodium

/// A key pair of X25519 (RFC 7748), for secrets that two parties share. CURVE's keys of ZeroMQ are such pairs.
///
/// A copy shares the secret's memory, which is zeroed when the last one goes.
package struct KeyAgreement: Sendable {
  /// Of a secret, a public key and a shared secret.
  package static let byteCount = Int(crypto_scalarmult_BYTES)

  /// `byteCount` bytes.
  package let publicKey: [UInt8]
  let secret: SecretBuffer

  /// The pair of a secret; the source is the caller's to zero.
  ///
  /// - Parameter secret: `byteCount` bytes, all values allowed (RFC 7748 §5 sets the bits that must be set).
  /// - Throws: `.size`.
  package init(secret: UnsafeRawBufferPointer) throws(CryptographyError) {
    try CryptographyError.check("an X25519 secret", secret.count, Self.byteCount)
    self.init(SecretBuffer(copying: secret))
  }

  /// A new pair from the operating system's generator.
  package static func fresh() -> KeyAgreement {
    KeyAgreement(SecretBuffer.random(byteCount: byteCount))
  }

  private init(_ secret: SecretBuffer) {
    Sodium.start()
    self.secret = secret
    var publicKey = [UInt8](repeating: 0, count: Self.byteCount)
    // The base point has a large order, so that this cannot fail.
    _ = crypto_scalarmult_base(&publicKey, secret.base)
    self.publicKey = publicKey
  }

  /// What both parties compute, each from its own secret and the other's public key: key material, not a key; put it through `HKDF`.
  ///
  /// - Throws: `.size`; `.weakPublicKey` for one of low order, with which the result would be known to anyone (RFC 7748 §6.1).
  package func sharedSecret(with publicKey: [UInt8]) throws(CryptographyError) -> SecretBuffer {
    try CryptographyError.check("an X25519 public key", publicKey.count, Self.byteCount)
    let shared = SecretBuffer(byteCount: Self.byteCount)
    guard crypto_scalarmult(shared.base, secret.base, publicKey) == 0 else { throw .weakPublicKey }
    return shared
  }

  /// The pointer is valid during the call only; what copies the bytes must zero its copy.
  package func withSecretBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try secret.withUnsafeBytes(body)
  }
}

/// Why keys or sealed bytes cannot be used. Never holds any of them.
package enum CryptographyError: Error, Equatable {
  /// Something has another number of bytes than it must have.
  case size(of: String, is: Int, expected: Int)
  /// A public key of low order.
  case weakPublicKey
  /// Sealed bytes that were altered, or sealed with another key, or for something else.
  case notAuthentic

  static func check(_ what: String, _ count: Int, _ expected: Int) throws(CryptographyError) {
    guard count == expected else { throw .size(of: what, is: count, expected: expected) }
  }
}

extension CryptographyError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .size(let what, let count, let expected): "\(what) has \(count) bytes, expected \(expected)"
    case .weakPublicKey: "a public key of low order"
    case .notAuthentic: "sealed bytes that do not open: altered, or sealed with another key or for another purpose"
    }
  }
}
