import Cryptography

/// Shares of one site's secrets for another, sealed a sum at a time: of the seed of its mask, then of its ephemeral key.
enum SealedShares {
  /// A share of a seed and a share of a key.
  static let plainByteCount = 2 * SecretSharing.shareByteCount
  static let byteCount = plainByteCount + AuthenticatedEncryption.overhead

  /// The key between two sites of a set-up, the same from either side.
  ///
  /// - Throws: `.notAuthentic` for a weak key of the other.
  static func key(
    own: KeyAgreement, publicKey: [UInt8], from: Int, to: Int, setUpDigest: [UInt8], _ roster: SumRoster
  ) throws(SumError) -> SecretBuffer {
    let info = Statement.bytes("key of shares", roster) { writer in
      writer.write(setUpDigest)
      writer.write(UInt32(from))
      writer.write(UInt32(to))
    }
    do {
      let shared = try own.sharedSecret(with: publicKey)
      return shared.withUnsafeBytes {
        HKDF.deriveKey(from: $0, info: info, byteCount: AuthenticatedEncryption.keyByteCount)
      }
    } catch { throw .notAuthentic("the sharing key of another site: \(error)") }
  }

  /// What sealed shares are for: nobody can pass them on as another's, another sum's or another set-up's.
  private static func associatedData(
    _ terms: SetUpTerms, sum: UInt64, from: Int, to: Int, setUpDigest: [UInt8], _ roster: SumRoster
  ) -> [UInt8] {
    Statement.bytes("shares", roster) { writer in
      writer.write(terms.number)
      writer.write(setUpDigest)
      writer.write(sum)
      writer.write(UInt32(from))
      writer.write(UInt32(to))
    }
  }

  static func seal(
    _ plain: SecretBuffer, key: SecretBuffer, terms: SetUpTerms, sum: UInt64, from: Int, to: Int, setUpDigest: [UInt8],
    _ roster: SumRoster
  ) throws(SumError) -> [UInt8] {
    let data = associatedData(terms, sum: sum, from: from, to: to, setUpDigest: setUpDigest, roster)
    do {
      return try plain.withUnsafeBytes {
        try AuthenticatedEncryption.seal($0, key: key, associatedData: data)
      }
    } catch { throw .misuse("sealing shares: \(error)") }
  }

  /// - Throws: `.notAuthentic` unless `from` sealed them for `to`, this sum and this set-up; `.malformed` for what are no shares.
  static func open(
    _ sealed: some Collection<UInt8>, key: SecretBuffer, terms: SetUpTerms, sum: UInt64, from: Int, to: Int,
    setUpDigest: [UInt8], _ roster: SumRoster
  ) throws(SumError) -> SecretBuffer {
    let data = associatedData(terms, sum: sum, from: from, to: to, setUpDigest: setUpDigest, roster)
    let plain: SecretBuffer
    do { plain = try AuthenticatedEncryption.open(sealed, key: key, associatedData: data) } catch {
      throw .notAuthentic("shares of \(roster.name(from)) for sum \(sum): \(error)")
    }
    guard plain.bytes.count == plainByteCount, SecretSharing.areShares(plain) else {
      throw .malformed("what \(roster.name(from)) sealed for sum \(sum) is no share")
    }
    return plain
  }
}

/// Site to aggregator: for every other member the sealed shares of all sums, one after the other.
enum SharesMessage {
  static func message(
    _ blocks: [(site: Int, value: [UInt8])], setUpDigest: [UInt8], terms: SetUpTerms, _ roster: SumRoster
  ) -> [UInt8] {
    MessageHeader.message(.shares, roster, setUp: terms.number) { writer in
      writer.write(setUpDigest)
      writer.write(list: blocks) { $1.write($0) }
    }
  }

  /// By the number of the site that a block is for.
  ///
  /// - Throws: `.malformed`; `.outOfOrder` for another set-up; `.inconsistent` for another view of it.
  static func read(
    _ message: [UInt8], from site: Int, members: [Int], setUpDigest: [UInt8], terms: SetUpTerms, _ roster: SumRoster
  ) throws(SumError) -> [Int: [UInt8]] {
    let blocks = try MessageHeader.read(.shares, message, roster) { (setUp, reader) throws(SumError) in
      guard setUp == terms.number else { throw .outOfOrder("shares for set-up \(setUp)") }
      guard try reader.bytes32() == setUpDigest else {
        throw .inconsistent("\(roster.name(site)) saw other keys of set-up \(setUp)")
      }
      return try reader.list(roster) { (_, reader) throws(SumError) in
        try reader.bytes(terms.count * SealedShares.byteCount)
      }
    }
    guard blocks.map(\.site) == members.filter({ $0 != site }) else {
      throw .malformed("shares that are not for every other member, or one for oneself")
    }
    return Dictionary(uniqueKeysWithValues: blocks.map { ($0.site, $0.value) })
  }
}

/// Aggregator to site: who dealt shares, and what of them is for this site.
enum DeliveryMessage {
  static func message(
    _ blocks: [(site: Int, value: [UInt8]?)], setUpDigest: [UInt8], terms: SetUpTerms, _ roster: SumRoster
  ) -> [UInt8] {
    MessageHeader.message(.delivery, roster, setUp: terms.number) { writer in
      writer.write(setUpDigest)
      writer.write(list: blocks) { block, writer in
        writer.write(optional: block) { $1.write($0) }
      }
    }
  }

  /// The sealed blocks by dealer; nil for this site itself, when it dealt.
  ///
  /// - Throws: `.malformed`, also for a share for oneself; `.outOfOrder`; `.inconsistent` for another view of the set-up, dealers that are no
  ///   members, or this site counted as a dealer when it has not dealt.
  static func read(
    _ message: [UInt8], at own: Int, members: [Int], setUpDigest: [UInt8], terms: SetUpTerms, _ roster: SumRoster
  ) throws(SumError) -> [(site: Int, value: [UInt8]?)] {
    let blocks = try MessageHeader.read(.delivery, message, roster) { (setUp, reader) throws(SumError) in
      guard setUp == terms.number else { throw .outOfOrder("a delivery of set-up \(setUp)") }
      guard try reader.bytes32() == setUpDigest else { throw .inconsistent("other keys of set-up \(setUp)") }
      return try reader.list(roster) { (site, reader) throws(SumError) in
        let block = try reader.optional { (reader) throws(SumError) in
          try reader.bytes(terms.count * SealedShares.byteCount)
        }
        guard (block == nil) == (site == own) else {
          throw .malformed(site == own ? "a share for oneself" : "no share of \(roster.name(site))")
        }
        return block
      }
    }
    guard blocks.allSatisfy({ members.contains($0.site) }) else {
      throw .inconsistent("shares of a site that has announced no keys")
    }
    guard blocks.count >= roster.minimum else {
      throw .cohort("only \(blocks.count) sites have dealt shares, expected at least \(roster.minimum)")
    }
    return blocks
  }
}

/// Site to aggregator: it holds the shares that were delivered.
enum ReceiptMessage {
  static func message(setUpDigest: [UInt8], terms: SetUpTerms, _ roster: SumRoster) -> [UInt8] {
    MessageHeader.message(.receipt, roster, setUp: terms.number) { $0.write(setUpDigest) }
  }

  /// - Throws: `.malformed`; `.outOfOrder` for another set-up; `.inconsistent` for another view of it.
  static func check(_ message: [UInt8], setUpDigest: [UInt8], terms: SetUpTerms, _ roster: SumRoster) throws(SumError) {
    try MessageHeader.read(.receipt, message, roster) { (setUp, reader) throws(SumError) in
      guard setUp == terms.number else { throw .outOfOrder("a receipt of set-up \(setUp)") }
      guard try reader.bytes32() == setUpDigest else { throw .inconsistent("a receipt of other shares") }
    }
  }
}
