import Cryptography

/// The byte form of a site's state, version 1. It holds secrets, and is read as strictly as a message.
extension PartyState {
  private static let version: UInt16 = 1
  private static let magic = Array("SumParty".utf8)

  func bytes(_ roster: SumRoster, site: Int) -> SecretBuffer {
    ByteWriter.secret { writer in
      writer.write(Self.magic)
      writer.write(Self.version)
      writer.write(roster.charterDigest)
      writer.write(UInt32(site))
      writer.write(lastSetUp)
      writer.write(nextSum)
      purposes.write(to: &writer)
      writer.write(optional: setUp) { $0.write(to: &$1) }
      writer.write(optional: sum) { $0.write(to: &$1) }
    }
  }

  /// - Throws: `.state`; `.otherCharter`.
  init(_ bytes: UnsafeRawBufferPointer, _ roster: SumRoster, site: Int) throws(SumError) {
    do throws(SumError) {
      self = try ByteReader.read(raw: bytes) { (reader) throws(SumError) in
        guard try reader.bytes(Self.magic.count) == Self.magic else { throw .malformed("no state of a site") }
        let version = try reader.integer(UInt16.self)
        guard version == Self.version else { throw .malformed("version \(version)") }
        guard try reader.bytes32() == roster.charterDigest else { throw .otherCharter }
        guard try reader.site(roster) == site else { throw .malformed("the state of another site") }
        var state = PartyState()
        state.lastSetUp = try reader.integer()
        state.nextSum = try reader.integer()
        state.purposes = try PurposeLedger(from: &reader)
        state.setUp = try reader.optional { (reader) throws(SumError) in
          try PartySetUp(from: &reader, roster, site: site)
        }
        state.sum = try reader.optional { (reader) throws(SumError) in try PartySum(from: &reader, roster) }
        if let sum = state.sum?.request {
          guard state.setUp?.terms.place(of: sum.request.sum) != nil, state.setUp?.terms.number == sum.setUp else {
            throw .malformed("a sum of no set-up")
          }
        }
        return state
      }
    } catch {
      guard case .malformed(let what) = error else { throw error }
      throw .state(what)
    }
  }
}

extension PartySetUp {
  fileprivate func write(to writer: inout ByteWriter) {
    terms.write(to: &writer)
    signing.withSeed { writer.write(raw: $0) }
    announcement.write(to: &writer)
    writer.write(sized: announced)
    writer.write(optional: sharing) { sharing, writer in sharing.withSecretBytes { writer.write(raw: $0) } }
    secrets.write(to: &writer)
    writer.write(list: members.map { (site: $0.site, value: $0) }) { $0.write(to: &$1) }
    writer.write(sized: digest)
    writer.write(optional: dealt) { dealt, writer in
      writer.write(sized: dealt.message)
      dealt.own.write(to: &writer)
    }
    writer.write(optional: held) { held, writer in
      let list = held.sorted { $0.key < $1.key }.map { (site: $0.key, value: $0.value) }
      writer.write(list: list) { $0.write(to: &$1) }
    }
  }

  fileprivate init(from reader: inout ByteReader, _ roster: SumRoster, site: Int) throws(SumError) {
    terms = try SetUpTerms(from: &reader)
    let terms = terms
    let seed = try reader.secret(Signing.seedByteCount)
    do { signing = try seed.withUnsafeBytes { try Signing(seed: $0) } } catch { throw .malformed("a signing key") }
    announcement = try Announcement(site: site, from: &reader, terms: terms, roster)
    announced = try reader.sized()
    let sharing = try reader.optional { (reader) throws(SumError) in try reader.secret(KeyAgreement.byteCount) }
    do { self.sharing = try sharing.map { try $0.withUnsafeBytes { try KeyAgreement(secret: $0) } } } catch {
      throw .malformed("a sharing key")
    }
    secrets = try SumSecrets(perSum: Self.secretsPerSum, sums: terms.count, from: &reader)
    members = try reader.list(roster) { (site, reader) throws(SumError) in
      try Announcement(site: site, from: &reader, terms: terms, roster)
    }.map(\.value)
    digest = try reader.sized()
    dealt = try reader.optional { (reader) throws(SumError) in
      Dealt(
        message: try reader.sized(),
        own: try SumSecrets(perSum: SealedShares.plainByteCount, sums: terms.count, from: &reader))
    }
    let held = try reader.optional { (reader) throws(SumError) in
      try reader.list(roster) { (_, reader) throws(SumError) in
        try SumSecrets(perSum: SealedShares.plainByteCount, sums: terms.count, from: &reader)
      }
    }
    self.held = held.map { Dictionary(uniqueKeysWithValues: $0.map { ($0.site, $0.value) }) }
  }
}

extension PartySum {
  fileprivate func write(to writer: inout ByteWriter) {
    writer.write(request.setUp)
    request.write(to: &writer)
    writer.write(optional: vectorDigest) { $1.write($0) }
    writer.write(optional: survivors) { $0.write(to: &$1) }
    writer.write(flag: isGiven)
  }

  fileprivate init(from reader: inout ByteReader, _ roster: SumRoster) throws(SumError) {
    let setUp = try reader.integer(UInt32.self)
    request = try SignedRequest(from: &reader, setUp: setUp, roster)
    vectorDigest = try reader.optional { (reader) throws(SumError) in try reader.bytes32() }
    survivors = try reader.optional { (reader) throws(SumError) in
      try SurvivorList(from: &reader, setUp: setUp, roster)
    }
    isGiven = try reader.flag()
  }
}
