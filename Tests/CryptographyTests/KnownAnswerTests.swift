import Testing

@testable import Cryptography

/// Published vectors, and values computed with Python's `cryptography`.
@Suite struct KnownAnswerTests {
  private func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  // MARK: - SHA-256

  /// FIPS 180-4's examples and the empty message.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (String(repeating: "a", count: 1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
  ])
  func digests(_ message: String, _ expected: String) {
    #expect(hexadecimal(SHA256.hash(message.utf8).bytes) == expected)
  }

  @Test func aDigestDoesNotDependOnHowBytesArrive() {
    let message = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 7) }
    for size in [1, 63, 64, 65, 999] {
      var hash = SHA256()
      for start in stride(from: 0, to: message.count, by: size) {
        hash.update(message[start..<min(message.count, start + size)])
      }
      #expect(hash.finalize() == SHA256.hash(message))
    }
    // A sequence that has no memory of its own.
    #expect(SHA256.hash(message.lazy.map { $0 }) == SHA256.hash(message))
  }

  // MARK: - HKDF

  /// RFC 5869, test case 3; the second was computed outside.
  @Test(arguments: [
    (
      [UInt8](repeating: 0x0b, count: 22), [UInt8](), 42,
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    ),
    (
      Array(UInt8(0)..<0x50), Array(UInt8(0xb0)...0xff), 82,
      "bdeaae544c019348d911435a228f8a7f6eba81db6892a2be5560274060c70a75"
        + "ebd4c875b737c678a1fe60c8cd40b334e5c0b5b0500d6b78ed90fb08388f5a7b22ed5dc466cac7b0bec32bf3eb1681d01524"
    ),
  ])
  func keysOfASecret(_ secret: [UInt8], _ info: [UInt8], _ count: Int, _ expected: String) {
    let key = secret.withUnsafeBytes { HKDF.deriveKey(from: $0, info: info, byteCount: count) }
    #expect(key.withUnsafeBytes { hexadecimal($0) } == expected)
  }

  @Test func noMoreThanTheStandardAllowsIsDerived() {
    let key = [UInt8](repeating: 1, count: 32).withUnsafeBytes {
      HKDF.deriveKey(from: $0, info: [], byteCount: 1 << 20)
    }
    #expect(key.bytes.count == 255 * 32)
  }

  // MARK: - ChaCha20

  private func keystream(key: [UInt8], nonce: UInt64, counter: UInt64, count: Int) -> [UInt8] {
    // What is there before must not matter.
    var output = [UInt8](repeating: 0xa5, count: count)
    output.withUnsafeMutableBytes { output in
      key.withUnsafeBytes { ChaCha20.fill(output, key: $0, nonce: nonce, counter: counter) }
    }
    return output
  }

  /// RFC 8439 §2.3.2; its 96-bit nonce begins in the upper half of the 64-bit counter.
  @Test func theBlockFunctionGivesTheStandardsVector() {
    let block = keystream(key: Array(UInt8(0)..<32), nonce: 0x4a00_0000, counter: 0x0900_0000_0000_0001, count: 64)
    let expected =
      "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4ed2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    #expect(hexadecimal(block) == expected)
  }

  /// RFC 8439 A.1, vectors 1 and 2.
  @Test func theKeystreamOfZerosIsTheStandards() {
    let blocks = keystream(key: [UInt8](repeating: 0, count: 32), nonce: 0, counter: 0, count: 128)
    let expected =
      "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
      + "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    #expect(hexadecimal(blocks) == expected)
  }

  /// Blocks 2³² − 2 and on, across the carry into the counter's upper word; of these the last half block before and the
  /// first after it.
  @Test(arguments: [
    (
      0, UInt64(0x8000_0000_0000_0000),
      "7ffd1319f32fde92a48df5d8dce0d6c9378af08f44f23164c3a9b14d605340dcdf210e1325e020efd35d52edab229fa7cb3ab4042c2f9a68289b87e92feaa1fd"
    ),
    (
      1, 0x9e37_79b9_7f4a_7c15,
      "e86c8531b6ca07a632af3bdd41e577469622271b0d855f133ed73df8498a5c3000642d66ffaf177178f1ef83b5fb4a7e96ca80fed0c7f65e675e2fcc7a099108"
    ),
    (
      2, 0xbc6e_f372_fe94_f82a,
      "3edfbe62a0ecbf41c8ce5762001f2e32209d1ded84cff5a2589a26df140c4d52312d3acb71c37d093335a53628328875077b7f8be9ae62f1c7720f1fdc27fa9a"
    ),
  ])
  func theCounterCarries(_ seed: Int, _ nonce: UInt64, _ expected: String) {
    let key = (0..<32).map { UInt8(truncatingIfNeeded: $0 * 7 + seed) }
    let blocks = keystream(key: key, nonce: nonce, counter: (1 << 32) - 2, count: 256)
    #expect(hexadecimal(blocks[96..<160]) == expected)
  }

  // MARK: - Secrets

  @Test func randomBytesDiffer() {
    // Inside a call, so that the buffer outlives the copy.
    let drawn = (0..<8).map { _ in SecretBuffer.random(byteCount: 32).withUnsafeBytes { Array($0) } }
    #expect(Set(drawn).count == 8)
    #expect(!drawn.contains([UInt8](repeating: 0, count: 32)))
  }
}
