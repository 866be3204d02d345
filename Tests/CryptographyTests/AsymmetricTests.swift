import Testing

@testable import Cryptography

/// Published vectors of key agreement, signatures and sealing, and what must be refused.
@Suite struct AsymmetricTests {
  private func bytes(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
  }

  private func pair(_ secret: String) throws -> KeyAgreement {
    try bytes(secret).withUnsafeBytes { try KeyAgreement(secret: $0) }
  }

  private func copy(_ buffer: SecretBuffer) -> [UInt8] {
    buffer.withUnsafeBytes { Array($0) }
  }

  private func buffer(_ bytes: [UInt8]) -> SecretBuffer {
    bytes.withUnsafeBytes { SecretBuffer(copying: $0) }
  }

  /// RFC 7748 §6.1, which NaCl's boxes use too.
  private static let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
  private static let alicePublic = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
  private static let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"
  private static let bobPublic = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"

  // MARK: - X25519

  /// RFC 7748 §5.2.
  @Test(arguments: [
    (
      "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
      "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    ),
    (
      "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
      "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
    ),
  ])
  func theFunctionGivesTheStandardsValues(_ secret: String, _ point: String, _ expected: String) throws {
    #expect(try copy(pair(secret).sharedSecret(with: bytes(point))) == bytes(expected))
  }

  @Test func bothPartiesShareTheStandardsSecret() throws {
    let (alice, bob) = (try pair(Self.alice), try pair(Self.bob))
    #expect(alice.publicKey == bytes(Self.alicePublic))
    #expect(bob.publicKey == bytes(Self.bobPublic))
    let expected = bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    #expect(try copy(alice.sharedSecret(with: bob.publicKey)) == expected)
    #expect(try copy(bob.sharedSecret(with: alice.publicKey)) == expected)
  }

  @Test func freshPairsDifferAndAgree() throws {
    let (one, other) = (KeyAgreement.fresh(), KeyAgreement.fresh())
    #expect(one.publicKey != other.publicKey)
    #expect(
      try copy(one.sharedSecret(with: other.publicKey)) == copy(other.sharedSecret(with: one.publicKey)))
    let again = try one.withSecretBytes { try KeyAgreement(secret: $0) }
    #expect(again.publicKey == one.publicKey)
  }

  /// Points of orders 1, 2, 4 and 8 (Bernstein, "Curve25519: new Diffie-Hellman speed records" and its page): 0, 1, two of order 8,
  /// p − 1, p, p + 1.
  @Test(arguments: [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ])
  func aPointOfLowOrderIsRefused(_ point: String) {
    let own = KeyAgreement.fresh()
    #expect(throws: CryptographyError.weakPublicKey) { try own.sharedSecret(with: bytes(point)) }
    #expect(throws: CryptographyError.weakPublicKey) { try Box.seal([1], to: bytes(point), from: own) }
    #expect(throws: CryptographyError.notAuthentic) {
      try Box.open([UInt8](repeating: 0, count: 60), from: bytes(point), by: own)
    }
  }

  @Test func keysOfOtherSizesAreRefused() {
    let own = KeyAgreement.fresh()
    for count in [0, 31, 33] {
      let key = [UInt8](repeating: 9, count: count)
      #expect(throws: CryptographyError.size(of: "an X25519 public key", is: count, expected: 32)) {
        try own.sharedSecret(with: key)
      }
      #expect(throws: CryptographyError.size(of: "an X25519 secret", is: count, expected: 32)) {
        try key.withUnsafeBytes { try KeyAgreement(secret: $0) }
      }
      #expect(throws: CryptographyError.size(of: "an Ed25519 seed", is: count, expected: 32)) {
        try key.withUnsafeBytes { try Signing(seed: $0) }
      }
      #expect(throws: CryptographyError.self) { try Box.seal([1], to: key, from: own) }
      #expect(throws: CryptographyError.self) { try Box.open([UInt8](repeating: 0, count: 60), from: key, by: own) }
      #expect(!Signing.verify([UInt8](repeating: 0, count: 64), of: [], by: key))
    }
  }

  // MARK: - Ed25519

  /// RFC 8032 §7.1, tests 1 to 3.
  @Test(arguments: [
    (
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    ),
    (
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ),
    (
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    ),
  ])
  func signaturesAreTheStandards(_ seed: String, _ key: String, _ message: String, _ expected: String) throws {
    let signing = try bytes(seed).withUnsafeBytes { try Signing(seed: $0) }
    #expect(signing.publicKey == bytes(key))
    let signature = signing.sign(bytes(message))
    #expect(signature == bytes(expected))
    #expect(Signing.verify(signature, of: bytes(message), by: signing.publicKey))
    #expect(signing.withSeed { Array($0) } == bytes(seed))
  }

  @Test func anAlteredSignatureMessageOrKeyIsNotVerified() {
    let signing = Signing.fresh()
    let message = Array("a list of survivors".utf8)
    let signature = signing.sign(message)
    #expect(Signing.verify(signature, of: message, by: signing.publicKey))
    for index in signature.indices {
      var altered = signature
      altered[index] ^= 0x10
      #expect(!Signing.verify(altered, of: message, by: signing.publicKey))
    }
    #expect(!Signing.verify(signature, of: message + [0], by: signing.publicKey))
    #expect(!Signing.verify(signature, of: message, by: Signing.fresh().publicKey))
    #expect(!Signing.verify(Array(signature.dropLast()), of: message, by: signing.publicKey))
    // The identity: a key for which R = sB verifies any message, if it is let through.
    let identity: [UInt8] = [1] + [UInt8](repeating: 0, count: 31)
    #expect(!Signing.verify(identity + [UInt8](repeating: 0, count: 32), of: message, by: identity))
  }

  // MARK: - Boxes

  /// NaCl's and libsodium's test of `crypto_box` (tests/box.c): Alice to Bob.
  @Test func aBoxIsNaClsVector() throws {
    let (alice, bob) = (try pair(Self.alice), try pair(Self.bob))
    let nonce = bytes("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    let message = bytes(
      "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31"
        + "0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864"
        + "5e0705")
    let expected = bytes(
      "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972"
        + "71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3"
        + "7973f622a43d14a6599b1f654cb45a74e355a5")
    let sealed = try Box.seal(message, to: bob.publicKey, from: alice, nonce: nonce)
    #expect(sealed == nonce + expected)
    #expect(sealed.count == message.count + Box.overhead)
    #expect(try Box.open(sealed, from: alice.publicKey, by: bob) == message)
  }

  @Test func aBoxOpensForItsTwoKeysOnly() throws {
    let (alice, bob, eve) = (KeyAgreement.fresh(), KeyAgreement.fresh(), KeyAgreement.fresh())
    let sealed = try Box.seal([1, 2, 3], to: bob.publicKey, from: alice)
    #expect(try Box.open(sealed, from: alice.publicKey, by: bob) == [1, 2, 3])
    #expect(try Box.seal([1, 2, 3], to: bob.publicKey, from: alice) != sealed)
    #expect(throws: CryptographyError.notAuthentic) { try Box.open(sealed, from: eve.publicKey, by: bob) }
    #expect(throws: CryptographyError.notAuthentic) { try Box.open(sealed, from: alice.publicKey, by: eve) }
    for index in sealed.indices {
      var altered = sealed
      altered[index] ^= 1
      #expect(throws: CryptographyError.notAuthentic) { try Box.open(altered, from: alice.publicKey, by: bob) }
      #expect(throws: CryptographyError.notAuthentic) {
        try Box.open(Array(sealed.prefix(index)), from: alice.publicKey, by: bob)
      }
    }
  }

  // MARK: - Authenticated encryption

  /// draft-irtf-cfrg-xchacha-03, A.3.1.
  @Test func sealedBytesAreTheDraftsVector() throws {
    let key = buffer(Array(0x80...0x9f))
    let nonce = Array(UInt8(0x40)...0x57)
    let data = bytes("50515253c0c1c2c3c4c5c6c7")
    let secret = Array(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
        .utf8)
    let expected = bytes(
      "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
        + "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e"
        + "c0875924c1c7987947deafd8780acf49")
    let sealed = try secret.withUnsafeBytes {
      try AuthenticatedEncryption.seal($0, key: key, associatedData: data, nonce: nonce)
    }
    #expect(sealed == nonce + expected)
    #expect(sealed.count == secret.count + AuthenticatedEncryption.overhead)
    #expect(try copy(AuthenticatedEncryption.open(sealed, key: key, associatedData: data)) == secret)
  }

  @Test func sealedBytesOpenWithTheirKeyAndDataOnly() throws {
    let key = SecretBuffer.random(byteCount: 32)
    let sealed = try [UInt8](repeating: 7, count: 40).withUnsafeBytes {
      try AuthenticatedEncryption.seal($0, key: key, associatedData: [1, 2])
    }
    #expect(try copy(AuthenticatedEncryption.open(sealed, key: key, associatedData: [1, 2])).allSatisfy { $0 == 7 })
    for data in [[], [1], [1, 3], [1, 2, 0]] as [[UInt8]] {
      #expect(throws: CryptographyError.notAuthentic) {
        try AuthenticatedEncryption.open(sealed, key: key, associatedData: data)
      }
    }
    #expect(throws: CryptographyError.notAuthentic) {
      try AuthenticatedEncryption.open(sealed, key: SecretBuffer.random(byteCount: 32), associatedData: [1, 2])
    }
    #expect(throws: CryptographyError.size(of: "a key of XChaCha20-Poly1305", is: 16, expected: 32)) {
      try AuthenticatedEncryption.open(sealed, key: SecretBuffer(byteCount: 16), associatedData: [1, 2])
    }
    for index in sealed.indices {
      var altered = sealed
      altered[index] ^= 1
      #expect(throws: CryptographyError.notAuthentic) {
        try AuthenticatedEncryption.open(altered, key: key, associatedData: [1, 2])
      }
      #expect(throws: CryptographyError.notAuthentic) {
        try AuthenticatedEncryption.open(sealed.prefix(index), key: key, associatedData: [1, 2])
      }
    }
  }
}
