import Cryptography

/// Once for many sums: keys are announced, secrets are shared.
extension SumParty {
  /// Opening → announcement.
  func announce(_ message: [UInt8]) throws(SumError) -> [UInt8] {
    let terms = try Opening.read(message, at: site, roster, key: key)
    if let setUp = state.setUp, setUp.terms == terms {
      guard !setUp.announced.isEmpty else { throw .outOfOrder("set-up \(terms.number) is done") }
      return setUp.announced
    }
    guard terms.number > state.lastSetUp else {
      throw .replayed("set-up \(terms.number), the last one here was \(state.lastSetUp)")
    }
    guard terms.firstSum >= state.nextSum else {
      throw .replayed("a set-up from sum \(terms.firstSum) on, keys were made for all before \(state.nextSum)")
    }
    var next = state
    next.lastSetUp = terms.number
    next.nextSum = terms.sums.upperBound
    next.sum = nil
    next.setUp = try PartySetUp(fresh: terms, site: site, roster, key: key)
    try commit(next)
    accepted = nil
    return next.setUp?.announced ?? []
  }

  /// Announcements of all → shares for all.
  func deal(_ message: [UInt8]) throws(SumError) -> [UInt8] {
    guard var setUp = state.setUp, let sharing = setUp.sharing else {
      throw .outOfOrder("announcements, but no set-up is open")
    }
    let members = try AnnouncementsMessage.read(
      message, at: setUp.announcement, terms: setUp.terms, roster, key: key)
    let digest = AnnouncementsMessage.digest(members, terms: setUp.terms, roster)
    if let dealt = setUp.dealt {
      guard setUp.digest == digest else {
        throw .inconsistent("other keys of set-up \(setUp.terms.number) than before")
      }
      return dealt.message
    }
    setUp.members = members
    setUp.digest = digest
    let dealt = try setUp.deal(from: site, sharing: sharing, roster)
    setUp.dealt = dealt
    var next = state
    next.setUp = setUp
    try commit(next)
    return dealt.message
  }

  /// Delivered shares → receipt.
  func take(_ message: [UInt8]) throws(SumError) -> [UInt8] {
    guard var setUp = state.setUp, !setUp.members.isEmpty else {
      throw .outOfOrder("shares, but no set-up has come so far")
    }
    let blocks = try DeliveryMessage.read(
      message, at: site, members: setUp.memberNumbers, setUpDigest: setUp.digest, terms: setUp.terms, roster)
    let receipt = ReceiptMessage.message(setUpDigest: setUp.digest, terms: setUp.terms, roster)
    if setUp.held != nil {
      guard setUp.dealers == blocks.map(\.site) else { throw .inconsistent("shares of other sites than before") }
      return receipt
    }
    guard let sharing = setUp.sharing, let dealt = setUp.dealt else {
      throw .outOfOrder("shares, but no set-up has come so far")
    }
    var held: [Int: SumSecrets] = [:]
    for (dealer, block) in blocks {
      guard let block else {
        held[site] = dealt.own
        continue
      }
      held[dealer] = try setUp.open(block, of: dealer, at: site, sharing: sharing, roster)
    }
    setUp.held = held
    setUp.announced = []
    setUp.sharing = nil
    setUp.dealt = nil
    var next = state
    next.setUp = setUp
    try commit(next)
    return receipt
  }
}

extension PartySetUp {
  /// X25519 secret and seed.
  static let secretsPerSum = KeyAgreement.byteCount + SecretSharing.secretByteCount
  static let keyRange = 0..<KeyAgreement.byteCount
  static let seedRange = KeyAgreement.byteCount..<secretsPerSum

  /// All secrets from the operating system's generator.
  fileprivate init(fresh terms: SetUpTerms, site: Int, _ roster: SumRoster, key: KeyAgreement) throws(SumError) {
    self.terms = terms
    signing = .fresh()
    let sharing = KeyAgreement.fresh()
    self.sharing = sharing
    secrets = SumSecrets(
      perSum: Self.secretsPerSum, bytes: SecretBuffer.random(byteCount: terms.count * Self.secretsPerSum))
    var sums: [UInt8] = []
    sums.reserveCapacity(terms.count * Announcement.perSum)
    for place in 0..<terms.count {
      sums += try Self.ephemeralKey(secrets, at: place).publicKey
      sums += try Self.commitment(to: Self.seed(secrets, at: place))
    }
    announcement = Announcement(
      site: site, sharingKey: sharing.publicKey, sums: sums, terms: terms, roster, signing: signing)
    var boxes: [(site: Int, value: [UInt8])] = []
    for other in roster.numbers where other != site {
      boxes.append(
        (
          other,
          try SigningKeyBox.seal(
            signing.publicKey, setUp: terms.number, from: site, to: other, roster, key: key)
        ))
    }
    announced = AnnouncementMessage.message(announcement, boxes, setUp: terms.number, roster)
  }

  static func commitment(to seed: SecretBuffer) -> [UInt8] {
    var hash = SHA256()
    seed.withUnsafeBytes { hash.update($0) }
    return hash.finalize().bytes
  }

  static func ephemeralKey(_ secrets: SumSecrets, at place: Int) throws(SumError) -> KeyAgreement {
    guard let secret = secrets.secret(at: place, keyRange) else { throw .replayed("a sum whose keys were erased") }
    do { return try secret.withUnsafeBytes { try KeyAgreement(secret: $0) } } catch { throw .misuse("\(error)") }
  }

  static func seed(_ secrets: SumSecrets, at place: Int) throws(SumError) -> SecretBuffer {
    guard let seed = secrets.secret(at: place, seedRange) else { throw .replayed("a sum whose keys were erased") }
    return seed
  }

  /// Splits both secrets of every sum among all sites of the charter, and seals what is for the other members.
  fileprivate func deal(from site: Int, sharing: KeyAgreement, _ roster: SumRoster) throws(SumError) -> Dealt {
    let holders = roster.sites.count
    let shareBytes = SecretSharing.shareByteCount
    // By sum: n shares of the seed, n of the key.
    var split: [(seed: SecretBuffer, key: SecretBuffer)] = []
    for place in 0..<terms.count {
      guard let seed = secrets.secret(at: place, Self.seedRange), let key = secrets.secret(at: place, Self.keyRange)
      else {
        throw .replayed("a set-up whose keys were used")
      }
      do {
        split.append(
          (
            try SecretSharing.split(seed, threshold: roster.threshold, holders: holders),
            try SecretSharing.split(key, threshold: roster.threshold, holders: holders)
          ))
      } catch { throw .misuse("splitting a secret: \(error)") }
    }
    /// What is for a holder, all sums.
    func plain(for holder: Int) -> SecretBuffer {
      let plain = SecretBuffer(byteCount: terms.count * SealedShares.plainByteCount)
      let range = (holder - 1) * shareBytes..<holder * shareBytes
      for (place, shares) in split.enumerated() {
        for (half, buffer) in [shares.seed, shares.key].enumerated() {
          let start = place * SealedShares.plainByteCount + half * shareBytes
          buffer.withUnsafeBytes {
            UnsafeMutableRawBufferPointer(rebasing: plain.bytes[start..<start + shareBytes])
              .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range]))
          }
        }
      }
      return plain
    }
    var blocks: [(site: Int, value: [UInt8])] = []
    for member in members where member.site != site {
      let key = try SealedShares.key(
        own: sharing, publicKey: member.sharingKey, from: site, to: member.site, setUpDigest: digest, roster)
      let shares = SumSecrets(perSum: SealedShares.plainByteCount, bytes: plain(for: member.site))
      var block: [UInt8] = []
      block.reserveCapacity(terms.count * SealedShares.byteCount)
      for place in 0..<terms.count {
        guard let plain = shares.secret(at: place, 0..<SealedShares.plainByteCount) else { continue }
        block += try SealedShares.seal(
          plain, key: key, terms: terms, sum: terms.firstSum + UInt64(place), from: site, to: member.site,
          setUpDigest: digest, roster)
      }
      blocks.append((member.site, block))
    }
    return Dealt(
      message: SharesMessage.message(blocks, setUpDigest: digest, terms: terms, roster),
      own: SumSecrets(perSum: SealedShares.plainByteCount, bytes: plain(for: site)))
  }

  /// What a dealer sealed for this site, all sums.
  fileprivate func open(
    _ block: [UInt8], of dealer: Int, at site: Int, sharing: KeyAgreement, _ roster: SumRoster
  ) throws(SumError) -> SumSecrets {
    guard let member = member(dealer) else {
      throw .inconsistent("shares of \(roster.name(dealer)), which has no keys")
    }
    let key = try SealedShares.key(
      own: sharing, publicKey: member.sharingKey, from: dealer, to: site, setUpDigest: digest, roster)
    let plain = SecretBuffer(byteCount: terms.count * SealedShares.plainByteCount)
    for place in 0..<terms.count {
      let shares = try SealedShares.open(
        block[place * SealedShares.byteCount..<(place + 1) * SealedShares.byteCount], key: key, terms: terms,
        sum: terms.firstSum + UInt64(place), from: dealer, to: site, setUpDigest: digest, roster)
      let start = place * SealedShares.plainByteCount
      shares.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(rebasing: plain.bytes[start..<start + SealedShares.plainByteCount])
          .copyMemory(from: $0)
      }
    }
    return SumSecrets(perSum: SealedShares.plainByteCount, bytes: plain)
  }
}
