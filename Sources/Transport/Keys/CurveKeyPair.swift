import CZeroMQ

/// A CURVE key pair. The secret half is zeroed when the last copy goes, and shown by nothing.
package struct CurveKeyPair: Sendable, CustomStringConvertible {
  package let publicKey: CurvePublicKey
  private let secret: SecretBytes

  /// What the keys of an owner are listed under at the trainer.
  package var ownerKey: OwnerKey { OwnerKey(publicKey) }

  /// Derives the public half, so that a pair can never be made of halves that do not belong together.
  ///
  /// - Throws: `.system` when libzmq has no CURVE.
  init(secret: SecretBytes) throws(TransportError) {
    // Both texts end with a zero byte, as libzmq wants them.
    let textCount = CurvePublicKey.textLength + 1
    var publicKey: CurvePublicKey?
    var code: Int32 = 0
    _ = SecretBytes(count: 2 * textCount) { texts in
      let publicText = UnsafeMutableRawBufferPointer(rebasing: texts[..<textCount])
      let secretText = UnsafeMutableRawBufferPointer(rebasing: texts[textCount...])
      let characters = UnsafeMutableRawBufferPointer(rebasing: secretText.dropLast())
      guard secret.withUnsafeBytes({ Z85.encode($0, into: characters) }),
        let publicAddress = publicText.baseAddress, let secretAddress = secretText.baseAddress
      else { return }
      code = zmq_curve_public(
        publicAddress.assumingMemoryBound(to: CChar.self), secretAddress.assumingMemoryBound(to: CChar.self))
      publicKey = CurvePublicKey(z85: String(decoding: publicText.dropLast(), as: UTF8.self))
    }
    guard code == 0, let publicKey else { throw ZeroMQFailure.last("deriving a CURVE public key") }
    self.publicKey = publicKey
    self.secret = secret
  }

  /// A new pair from the operating system's random numbers.
  ///
  /// Neither text starts with `#`, which z85 allows but a key file would take for a comment.
  ///
  /// - Throws: `.system` when libzmq has no CURVE.
  package static func generate() throws(TransportError) -> CurveKeyPair {
    while true {
      let textCount = CurvePublicKey.textLength + 1
      let secret = try SecretBytes(count: CurvePublicKey.byteCount) { (bytes) throws(TransportError) in
        _ = try SecretBytes(count: 2 * textCount) { (texts) throws(TransportError) in
          guard let base = texts.baseAddress,
            zmq_curve_keypair(
              base.assumingMemoryBound(to: CChar.self),
              (base + textCount).assumingMemoryBound(to: CChar.self)) == 0
          else { throw ZeroMQFailure.last("generating CURVE keys") }
          _ = Z85.decode(UnsafeRawBufferPointer(rebasing: texts[textCount...].dropLast()), into: bytes)
        }
      }
      let pair = try CurveKeyPair(secret: secret)
      let startsWithHash = pair.withSecretText { $0.first == UInt8(ascii: "#") }
      if !startsWithHash, !pair.publicKey.z85.hasPrefix("#") { return pair }
    }
  }

  /// Gives the 32 secret bytes to `body`, for deriving other keys from them. The pointer is valid during `body` only.
  package func withSecretBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try secret.withUnsafeBytes(body)
  }

  /// The secret's 40 characters, zeroed after `body`.
  func withSecretText<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let text = SecretBytes(count: CurvePublicKey.textLength) { text in
      _ = secret.withUnsafeBytes { Z85.encode($0, into: text) }
    }
    return try text.withUnsafeBytes(body)
  }

  package var description: String { "CurveKeyPair(public: \(publicKey), secret: hidden)" }
}
