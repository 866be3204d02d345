import Cryptography
import Testing

@testable import SecureSums

@Suite struct SumMasksTests {
  private func label(_ sum: UInt64 = 3, attempt: UInt32 = 1, charter: UInt8 = 1, cohort: UInt8 = 2) -> SumMaskLabel {
    SumMaskLabel(
      charterDigest: [UInt8](repeating: charter, count: 32), sum: sum, attempt: attempt,
      cohortDigest: [UInt8](repeating: cohort, count: 32))
  }

  private func copy(_ buffer: SecretBuffer) -> [UInt8] {
    buffer.withUnsafeBytes { Array($0) }
  }

  /// Entry k is word k of the keystream, whatever the chunks: the plain loop over one long keystream, for lengths around the chunk's.
  @Test(arguments: [0, 1, 7, 8, 9, 2047, 2048, 2049, 4096, 5001])
  func aMaskIsTheKeystream(_ count: Int) {
    let keys = (0..<3).map { _ in SecretBuffer.random(byteCount: 32) }
    var expected = (0..<count).map { UInt64($0) &* 0x1234_5678_9abc_def1 }
    var vector = expected
    for (number, key) in keys.enumerated() {
      var stream = [UInt8](repeating: 0, count: count * 8)
      stream.withUnsafeMutableBytes { stream in
        key.withUnsafeBytes { ChaCha20.fill(stream, key: $0, nonce: 0, counter: 0) }
      }
      for index in 0..<count {
        let word = (0..<8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64(stream[index * 8 + $1]) }
        expected[index] = number == 1 ? expected[index] &- word : expected[index] &+ word
      }
    }
    var masks = SumMasks()
    masks.append(keys[0], .add)
    masks.append(keys[1], .subtract)
    masks.append(keys[2], .add)
    masks.apply(to: &vector)
    #expect(vector == expected)
  }

  @Test func aMaskThatIsTakenAwayLeavesTheVector() {
    var numbers = SeededNumbers(1)
    let original = (0..<5000).map { _ in numbers.next() }
    var vector = original
    let key = SecretBuffer.random(byteCount: 32)
    for direction in [SumMasks.Direction.add, .subtract] {
      var masks = SumMasks()
      masks.append(key, direction)
      masks.apply(to: &vector)
      #expect((vector == original) == (direction == .subtract))
    }
    #expect(SumMasks.Direction.add.opposite == .subtract)
    #expect(SumMasks.Direction.subtract.opposite == .add)
  }

  @Test func bothSitesDeriveTheSameKey() throws {
    let (one, other) = (KeyAgreement.fresh(), KeyAgreement.fresh())
    let key = try copy(label().pairKey(own: one, publicKey: other.publicKey, sites: (4, 9)))
    #expect(try copy(label().pairKey(own: other, publicKey: one.publicKey, sites: (9, 4))) == key)
  }

  @Test func everyPartOfTheLabelChangesTheKey() throws {
    let (one, other) = (KeyAgreement.fresh(), KeyAgreement.fresh())
    let labels = [label(), label(4), label(attempt: 2), label(charter: 2), label(cohort: 3)]
    var keys = try labels.map { try copy($0.pairKey(own: one, publicKey: other.publicKey, sites: (1, 2))) }
    keys.append(try copy(label().pairKey(own: one, publicKey: other.publicKey, sites: (1, 3))))
    keys.append(try copy(label().pairKey(own: one, publicKey: other.publicKey, sites: (2, 3))))
    keys.append(try copy(label().pairKey(own: one, publicKey: KeyAgreement.fresh().publicKey, sites: (1, 2))))
    #expect(Set(keys).count == keys.count)
    #expect(keys.allSatisfy { $0.count == 32 })
  }

  /// HKDF and X25519 by Python's `cryptography`, from secrets of bytes 1 … 32 and 33 … 64.
  @Test func aKeyIsTheOneComputedOutside() throws {
    let one = try Array(UInt8(1)...32).withUnsafeBytes { try KeyAgreement(secret: $0) }
    let other = try Array(UInt8(33)...64).withUnsafeBytes { try KeyAgreement(secret: $0) }
    let key = try copy(label(5, attempt: 2).pairKey(own: one, publicKey: other.publicKey, sites: (3, 7)))
    #expect(
      key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        == "3078c0e7165925719d645965cdf6b5763c81fc39291ee9bfd2cf977c5517b3b8")
  }

  @Test func aWeakPublicKeyIsRefused() {
    #expect(throws: CryptographyError.weakPublicKey) {
      try label().pairKey(own: .fresh(), publicKey: [UInt8](repeating: 0, count: 32), sites: (1, 2))
    }
  }
}
