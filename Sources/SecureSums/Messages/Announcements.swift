import Cryptography

/// A site's public keys of a set-up: what it signs with, what shares are sealed for, and for every sum an ephemeral key and the commitment
/// to the seed of its own mask. Signed by the site.
struct Announcement: Equatable {
  let site: Int
  /// Ed25519.
  let signingKey: [UInt8]
  /// X25519.
  let sharingKey: [UInt8]
  /// `perSum` bytes each: X25519 public key, SHA-256 of the seed.
  let sums: [UInt8]
  let signature: [UInt8]

  static let perSum = KeyAgreement.byteCount + SHA256.byteCount

  /// Signs; `sums` as above.
  init(site: Int, sharingKey: [UInt8], sums: [UInt8], terms: SetUpTerms, _ roster: SumRoster, signing: Signing) {
    self.site = site
    signingKey = signing.publicKey
    self.sharingKey = sharingKey
    self.sums = sums
    signature = signing.sign(Self.statement(site, signingKey, sharingKey, sums, terms, roster))
  }

  /// X25519, of the sum at a place in the set-up.
  func publicKey(at place: Int) -> [UInt8] {
    Array(sums[place * Self.perSum..<place * Self.perSum + KeyAgreement.byteCount])
  }

  func commitment(at place: Int) -> [UInt8] {
    Array(sums[place * Self.perSum + KeyAgreement.byteCount..<(place + 1) * Self.perSum])
  }

  func write(to writer: inout ByteWriter) {
    writer.write(signingKey)
    writer.write(sharingKey)
    writer.write(sums)
    writer.write(signature)
  }

  /// Verified by its own signing key; whose that key is, the box says.
  ///
  /// - Throws: `.notAuthentic`, `.malformed`.
  init(site: Int, from reader: inout ByteReader, terms: SetUpTerms, _ roster: SumRoster) throws(SumError) {
    self.site = site
    signingKey = try reader.bytes(Signing.publicKeyByteCount)
    sharingKey = try reader.bytes32()
    sums = try reader.bytes(terms.count * Self.perSum)
    signature = try reader.bytes(Signing.signatureByteCount)
    guard
      Signing.verify(
        signature, of: Self.statement(site, signingKey, sharingKey, sums, terms, roster), by: signingKey)
    else { throw .notAuthentic("the announced keys of \(roster.name(site)) for this set-up are not signed by it") }
  }

  private static func statement(
    _ site: Int, _ signingKey: [UInt8], _ sharingKey: [UInt8], _ sums: [UInt8], _ terms: SetUpTerms, _ roster: SumRoster
  ) -> [UInt8] {
    Statement.bytes("announcement", roster) { writer in
      terms.write(to: &writer)
      writer.write(UInt32(site))
      writer.write(signingKey)
      writer.write(sharingKey)
      writer.write(sums)
    }
  }
}

/// Site to aggregator: its announcement, and its signing key in a box for every other site of the charter.
struct AnnouncementMessage {
  let announcement: Announcement
  /// By the number of the site that it is for.
  let boxes: [Int: [UInt8]]

  init(_ announcement: Announcement, _ boxes: [(site: Int, value: [UInt8])]) {
    self.announcement = announcement
    self.boxes = Dictionary(uniqueKeysWithValues: boxes.map { ($0.site, $0.value) })
  }

  static func message(
    _ announcement: Announcement, _ boxes: [(site: Int, value: [UInt8])], setUp: UInt32, _ roster: SumRoster
  )
    -> [UInt8]
  {
    MessageHeader.message(.announcement, roster, setUp: setUp) { writer in
      announcement.write(to: &writer)
      writer.write(list: boxes) { box, writer in writer.write(box) }
    }
  }

  /// - Throws: `.malformed`, `.notAuthentic`, `.outOfOrder` for another set-up.
  init(_ message: [UInt8], from site: Int, terms: SetUpTerms, _ roster: SumRoster) throws(SumError) {
    (announcement, boxes) = try MessageHeader.read(.announcement, message, roster) { (setUp, reader) throws(SumError) in
      guard setUp == terms.number else { throw .outOfOrder("an announcement for set-up \(setUp)") }
      let announcement = try Announcement(site: site, from: &reader, terms: terms, roster)
      let boxes = try reader.list(roster) { (_, reader) throws(SumError) in try reader.bytes(SigningKeyBox.byteCount) }
      guard boxes.map(\.site) == roster.numbers.filter({ $0 != site }) else {
        throw .malformed("boxes that are not one for every other site")
      }
      return (announcement, Dictionary(uniqueKeysWithValues: boxes.map { ($0.site, $0.value) }))
    }
  }
}

/// Aggregator to site: everybody's announcement, with the box that is for this site (of the other sites).
enum AnnouncementsMessage {
  static func message(
    _ members: [(announcement: Announcement, box: [UInt8]?)], setUp: UInt32, _ roster: SumRoster
  ) -> [UInt8] {
    MessageHeader.message(.announcements, roster, setUp: setUp) { writer in
      writer.write(list: members.map { (site: $0.announcement.site, value: $0) }) { member, writer in
        member.announcement.write(to: &writer)
        if let box = member.box { writer.write(box) }
      }
    }
  }

  /// The members, each signing key proven by its box.
  ///
  /// - Throws: `.notAuthentic`; `.inconsistent` when this site is not among them with the keys it announced; `.outOfOrder`; `.cohort` when there
  ///   are fewer than the charter needs.
  static func read(
    _ message: [UInt8], at own: Announcement, terms: SetUpTerms, _ roster: SumRoster, key: KeyAgreement
  ) throws(SumError) -> [Announcement] {
    let members = try MessageHeader.read(.announcements, message, roster) { (setUp, reader) throws(SumError) in
      guard setUp == terms.number else { throw .outOfOrder("announcements for set-up \(setUp)") }
      return try reader.list(roster) { (site, reader) throws(SumError) in
        let announcement = try Announcement(site: site, from: &reader, terms: terms, roster)
        if site != own.site {
          try SigningKeyBox.check(
            try reader.bytes(SigningKeyBox.byteCount), holds: announcement.signingKey, setUp: setUp, from: site,
            to: own.site, roster, key: key)
        }
        return announcement
      }
    }.map(\.value)
    guard members.first(where: { $0.site == own.site }) == own else {
      throw .inconsistent("the keys of this site are not the ones that it announced")
    }
    guard members.count >= max(roster.threshold, roster.minimum) else {
      throw .cohort("a set-up of \(members.count) sites, expected at least \(max(roster.threshold, roster.minimum))")
    }
    return members
  }

  /// What all members must have the same view of: the terms and everybody's keys.
  static func digest(_ members: [Announcement], terms: SetUpTerms, _ roster: SumRoster) -> [UInt8] {
    SHA256.hash(
      Statement.bytes("set-up", roster) { writer in
        terms.write(to: &writer)
        writer.write(list: members.map { (site: $0.site, value: $0) }) { $0.write(to: &$1) }
      }
    ).bytes
  }
}
