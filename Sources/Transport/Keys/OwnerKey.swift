/// An owner's public key: what a job belongs to.
package struct OwnerKey: Hashable, Sendable, CustomStringConvertible {
  package let publicKey: CurvePublicKey

  package init(_ publicKey: CurvePublicKey) {
    self.publicKey = publicKey
  }

  /// Nil unless the text is 40 characters of z85.
  package init?(z85 text: String) {
    guard let publicKey = CurvePublicKey(z85: text) else { return nil }
    self.init(publicKey)
  }

  /// 32 bytes.
  package var bytes: [UInt8] { publicKey.bytes }

  /// 40 characters.
  package var z85: String { publicKey.z85 }

  /// The first 8 characters: enough for a log.
  package var prefix: String { String(z85.prefix(8)) }

  package var description: String { z85 }
}
