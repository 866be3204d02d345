internal import CSodium

/// NaCl's `crypto_box` (X25519, XSalsa20, Poly1305): bytes that only the holder of one key can read and only the holder of another can
/// have written. The key is the same in both directions, so the message itself must say from whom to whom it goes.
package enum Box {
  /// A fresh nonce in front and a tag: what a box is longer than its message.
  package static let overhead = Int(crypto_box_NONCEBYTES) + Int(crypto_box_MACBYTES)

  /// - Throws: `.size` and `.weakPublicKey` for the other's key.
  package static func seal(_ message: [UInt8], to publicKey: [UInt8], from own: KeyAgreement) throws(CryptographyError)
    -> [UInt8]
  {
    try seal(message, to: publicKey, from: own, nonce: randomBytes(Int(crypto_box_NONCEBYTES)))
  }

  /// Two messages under the same keys must never have the same nonce.
  static func seal(
    _ message: [UInt8], to publicKey: [UInt8], from own: KeyAgreement, nonce: [UInt8]
  ) throws(CryptographyError) -> [UInt8] {
    try CryptographyError.check("a nonce of a box", nonce.count, Int(crypto_box_NONCEBYTES))
    try CryptographyError.check("an X25519 public key", publicKey.count, KeyAgreement.byteCount)
    var sealed = [UInt8](repeating: 0, count: message.count + Int(crypto_box_MACBYTES))
    guard crypto_box_easy(&sealed, message, UInt64(message.count), nonce, publicKey, own.secret.base) == 0 else {
      throw .weakPublicKey
    }
    return nonce + sealed
  }

  /// - Throws: `.notAuthentic` unless the holder of `publicKey` sealed it, for this key; `.size` for the other's key.
  package static func open(_ sealed: [UInt8], from publicKey: [UInt8], by own: KeyAgreement) throws(CryptographyError)
    -> [UInt8]
  {
    try CryptographyError.check("an X25519 public key", publicKey.count, KeyAgreement.byteCount)
    guard sealed.count >= overhead else { throw .notAuthentic }
    let nonce = Array(sealed.prefix(Int(crypto_box_NONCEBYTES)))
    let body = Array(sealed.dropFirst(nonce.count))
    var message = [UInt8](repeating: 0, count: sealed.count - overhead)
    guard crypto_box_open_easy(&message, body, UInt64(body.count), nonce, publicKey, own.secret.base) == 0 else {
      throw .notAuthentic
    }
    return message
  }
}

/// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): secret bytes under a key, bound to data that are not secret.
package enum AuthenticatedEncryption {
  package static let keyByteCount = Int(crypto_aead_xchacha20poly1305_ietf_KEYBYTES)
  /// A fresh nonce in front and a tag behind: what sealed bytes are longer than the secret.
  package static let overhead = nonceByteCount + Int(crypto_aead_xchacha20poly1305_ietf_ABYTES)
  private static let nonceByteCount = Int(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)

  /// - Parameters:
  ///   - key: `keyByteCount` bytes.
  ///   - associatedData: what the bytes are for; they open with the same data only.
  /// - Throws: `.size` for the key.
  package static func seal(
    _ secret: UnsafeRawBufferPointer, key: SecretBuffer, associatedData: [UInt8]
  ) throws(CryptographyError) -> [UInt8] {
    try seal(secret, key: key, associatedData: associatedData, nonce: randomBytes(nonceByteCount))
  }

  /// Two secrets under the same key must never have the same nonce.
  static func seal(
    _ secret: UnsafeRawBufferPointer, key: SecretBuffer, associatedData: [UInt8], nonce: [UInt8]
  ) throws(CryptographyError) -> [UInt8] {
    try CryptographyError.check("a key of XChaCha20-Poly1305", key.bytes.count, keyByteCount)
    try CryptographyError.check("a nonce of XChaCha20-Poly1305", nonce.count, nonceByteCount)
    var sealed = [UInt8](repeating: 0, count: secret.count + Int(crypto_aead_xchacha20poly1305_ietf_ABYTES))
    _ = crypto_aead_xchacha20poly1305_ietf_encrypt(
      &sealed, nil, secret.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt64(secret.count), associatedData,
      UInt64(associatedData.count), nil, nonce, key.base)
    return nonce + sealed
  }

  /// - Throws: `.notAuthentic` unless it was sealed with this key and these data, and holds at least a byte; `.size` for the key.
  package static func open(
    _ sealed: some Collection<UInt8>, key: SecretBuffer, associatedData: [UInt8]
  ) throws(CryptographyError) -> SecretBuffer {
    try CryptographyError.check("a key of XChaCha20-Poly1305", key.bytes.count, keyByteCount)
    guard sealed.count > overhead else { throw .notAuthentic }
    let nonce = Array(sealed.prefix(nonceByteCount))
    let body = Array(sealed.dropFirst(nonceByteCount))
    let secret = SecretBuffer(byteCount: sealed.count - overhead)
    guard
      crypto_aead_xchacha20poly1305_ietf_decrypt(
        secret.base, nil, nil, body, UInt64(body.count), associatedData, UInt64(associatedData.count), nonce, key.base)
        == 0
    else { throw .notAuthentic }
    return secret
  }
}

private func randomBytes(_ count: Int) -> [UInt8] {
  Sodium.start()
  var bytes = [UInt8](repeating: 0, count: count)
  randombytes_buf(&bytes, count)
  return bytes
}
