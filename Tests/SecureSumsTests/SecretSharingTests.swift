import Cryptography
import Testing

@testable import SecureSums

@Suite struct SecretSharingTests {
  // MARK: - Field

  /// Against 128-bit arithmetic, with the values where a reduction could slip.
  @Test func sumsDifferencesAndProductsAreThoseOfIntegers() throws {
    let p = FieldElement.modulus
    var numbers = SeededNumbers(1)
    let edges: [UInt64] = [0, 1, 2, 7, 8, p / 2, p - 8, p - 2, p - 1]
    let values = try (edges + (0..<200).map { _ in numbers.next() % p }).map { try #require(FieldElement($0)) }
    for left in values {
      for right in values {
        let (l, r) = (UInt128(left.value), UInt128(right.value))
        #expect((left + right).value == UInt64((l + r) % UInt128(p)))
        #expect((left - right).value == UInt64((l + UInt128(p) - r) % UInt128(p)))
        #expect((left * right).value == UInt64(l * r % UInt128(p)))
      }
      if left != .zero { #expect((left * left.inverse) == .one) }
    }
    #expect(FieldElement.zero.inverse == .zero)
  }

  @Test func onlyReducedNumbersAreElements() {
    #expect(FieldElement(FieldElement.modulus) == nil)
    #expect(FieldElement(UInt64.max) == nil)
    #expect(FieldElement(reducing: FieldElement.modulus) == .zero)
    #expect(FieldElement(reducing: (1 << 63) - 1).value == ((1 << 63) - 1) % FieldElement.modulus)
  }

  // MARK: - Shares

  private func share(_ holder: Int, of shares: SecretBuffer) -> (holder: Int, bytes: [UInt8]) {
    let count = SecretSharing.shareByteCount
    return (holder, shares.withUnsafeBytes { Array($0[(holder - 1) * count..<holder * count]) })
  }

  private func copy(_ buffer: SecretBuffer) -> [UInt8] {
    buffer.withUnsafeBytes { Array($0) }
  }

  @Test func anyThresholdOfSharesGivesTheSecret() throws {
    var numbers = SeededNumbers(2)
    for holders in 1...10 {
      for threshold in 1...holders {
        let secret = SecretBuffer.random(byteCount: 32)
        let shares = try SecretSharing.split(secret, threshold: threshold, holders: holders)
        for _ in 0..<5 {
          let chosen = (1...holders).shuffled(using: &numbers).prefix(threshold)
          let rebuilt = try SecretSharing.rebuild(
            chosen.map { share($0, of: shares) }, threshold: threshold, holders: holders)
          #expect(copy(rebuilt) == copy(secret))
        }
      }
    }
  }

  @Test func aHundredHoldersAndSecretsOfAllOnesAndZerosWork() throws {
    for byte in [UInt8(0), 0xff] {
      let secret = [UInt8](repeating: byte, count: 32).withUnsafeBytes { SecretBuffer(copying: $0) }
      let shares = try SecretSharing.split(secret, threshold: 67, holders: 100)
      let rebuilt = try SecretSharing.rebuild(
        (34...100).map { share($0, of: shares) }, threshold: 67, holders: 100)
      #expect(copy(rebuilt) == copy(secret))
    }
  }

  /// One share too few fits every secret: for any guess there is a last share that leads to it. So a rebuilt guess says nothing.
  @Test func fewerSharesFitAnySecret() throws {
    let secret = SecretBuffer.random(byteCount: 32)
    let shares = try SecretSharing.split(secret, threshold: 3, holders: 4)
    // A second sharing, of another secret, whose shares of holders 1 and 2 are replaced by the first's.
    let other = try SecretSharing.split(SecretBuffer.random(byteCount: 32), threshold: 3, holders: 4)
    let mixed = [share(1, of: shares), share(2, of: shares), share(3, of: other)]
    // Limbs of 56 and 32 bits from elements of 61: what is rebuilt is outside the limbs' range but with a chance of 2⁻⁴⁹.
    #expect(throws: SharingError.notAShare(holder: nil)) {
      try SecretSharing.rebuild(mixed, threshold: 3, holders: 4)
    }
  }

  /// The chance that a test of uniformity over 16 classes fails by accident: below 10⁻⁶ above 60 for χ² with 15 degrees of freedom
  /// (Laurent and Massart: P(X ≥ k + 2√(kx) + 2x) ≤ e^−x; k = 15, x = 14 gives 72).
  @Test func aShareIsUniform() throws {
    let secret = SecretBuffer(byteCount: 32)
    var counts = [Int](repeating: 0, count: 16)
    let trials = 4000
    for _ in 0..<trials {
      let shares = try SecretSharing.split(secret, threshold: 2, holders: 2)
      let word = shares.withUnsafeBytes { $0.load(as: UInt64.self) }
      counts[Int(word >> 57)] += 1
    }
    let expected = Double(trials) / 16
    let statistic = counts.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
    #expect(statistic < 72)
  }

  @Test func holderZeroIsRefused() throws {
    let shares = try SecretSharing.split(SecretBuffer.random(byteCount: 32), threshold: 2, holders: 3)
    for holder in [0, -1, 4] {
      #expect(throws: SharingError.holder(holder)) {
        try SecretSharing.rebuild(
          [share(1, of: shares), (holder, share(2, of: shares).bytes)], threshold: 2, holders: 3)
      }
    }
  }

  @Test func aShareTwiceAndTooFewAreRefused() throws {
    let shares = try SecretSharing.split(SecretBuffer.random(byteCount: 32), threshold: 2, holders: 3)
    #expect(throws: SharingError.twice(2)) {
      try SecretSharing.rebuild([share(2, of: shares), share(2, of: shares)], threshold: 2, holders: 3)
    }
    #expect(throws: SharingError.tooFew(1, threshold: 2)) {
      try SecretSharing.rebuild([share(2, of: shares)], threshold: 2, holders: 3)
    }
    #expect(throws: SharingError.tooFew(0, threshold: 0)) {
      try SecretSharing.rebuild([], threshold: 0, holders: 3)
    }
  }

  @Test func bytesThatAreNoShareAreRefused() throws {
    let shares = try SecretSharing.split(SecretBuffer.random(byteCount: 32), threshold: 2, holders: 3)
    let tooLarge = [UInt8](repeating: 0xff, count: SecretSharing.shareByteCount)
    for bytes in [[], [1], tooLarge, tooLarge + [0]] as [[UInt8]] {
      #expect(throws: SharingError.notAShare(holder: 2)) {
        try SecretSharing.rebuild([share(1, of: shares), (2, bytes)], threshold: 2, holders: 3)
      }
      #expect(!SecretSharing.isShare(bytes))
    }
    #expect(SecretSharing.isShare(share(1, of: shares).bytes))
  }

  @Test func thresholdsThatCannotBeAreRefused() {
    let secret = SecretBuffer.random(byteCount: 32)
    for (threshold, holders) in [(0, 3), (4, 3), (1, 0), (-1, 3)] {
      #expect(throws: SharingError.threshold(threshold, holders: holders)) {
        try SecretSharing.split(secret, threshold: threshold, holders: holders)
      }
    }
    #expect(throws: SharingError.secretSize(31)) {
      try SecretSharing.split(SecretBuffer(byteCount: 31), threshold: 1, holders: 1)
    }
  }
}
