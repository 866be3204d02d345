internal import CSodium

/// A key pair of Ed25519 (RFC 8032), for signatures. Signing is deterministic: the same message has the same signature.
///
/// A copy shares the secret's memory, which is zeroed when the last one goes.
package struct Signing: Sendable {
  package static let seedByteCount = Int(crypto_sign_SEEDBYTES)
  package static let publicKeyByteCount = Int(crypto_sign_PUBLICKEYBYTES)
  package static let signatureByteCount = Int(crypto_sign_BYTES)

  /// `publicKeyByteCount` bytes.
  package let publicKey: [UInt8]
  /// The seed, and the public key after it.
  private let secret: SecretBuffer

  /// The pair of a seed; the source is the caller's to zero.
  ///
  /// - Throws: `.size` unless there are `seedByteCount` bytes.
  package init(seed: UnsafeRawBufferPointer) throws(CryptographyError) {
    try CryptographyError.check("an Ed25519 seed", seed.count, Self.seedByteCount)
    self.init(SecretBuffer(copying: seed))
  }

  /// A new pair from the operating system's generator.
  package static func fresh() -> Signing {
    Signing(SecretBuffer.random(byteCount: seedByteCount))
  }

  private init(_ seed: SecretBuffer) {
    Sodium.start()
    secret = SecretBuffer(byteCount: Int(crypto_sign_SECRETKEYBYTES))
    var publicKey = [UInt8](repeating: 0, count: Self.publicKeyByteCount)
    _ = crypto_sign_seed_keypair(&publicKey, secret.base, seed.base)
    self.publicKey = publicKey
  }

  /// `signatureByteCount` bytes.
  package func sign(_ message: [UInt8]) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: Self.signatureByteCount)
    _ = crypto_sign_detached(&signature, nil, message, UInt64(message.count), secret.base)
    return signature
  }

  /// Whether `signature` is the holder's of `publicKey` over `message`. False as well for sizes that are not those of a signature and a key,
  /// and for public keys of low order.
  package static func verify(_ signature: [UInt8], of message: [UInt8], by publicKey: [UInt8]) -> Bool {
    guard signature.count == signatureByteCount, publicKey.count == publicKeyByteCount else { return false }
    Sodium.start()
    return crypto_sign_verify_detached(signature, message, UInt64(message.count), publicKey) == 0
  }

  /// Gives the seed to `body`. The pointer is valid during the call only; what copies the bytes must zero its copy.
  package func withSeed<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try secret.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0.prefix(Self.seedByteCount))) }
  }
}
