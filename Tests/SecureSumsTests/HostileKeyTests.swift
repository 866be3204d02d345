import Cryptography
import Testing

@testable import SecureSums

/// Keys and shares that a lying aggregator may try to swap or replay: every site refuses them.
@Suite struct HostileKeyTests {
  /// The aggregator's own keys in the place of a site's: once under the site's signature, once under a signing key of its own.
  @Test func swappedEphemeralKeysAreRefused() throws {
    let federation = try SumFederation(sites: 4, threshold: 3)
    let roster = federation.roster
    try federation.coordinator.openSetUp(sums: 2)
    for site in federation.sites { try federation.exchange(site) }
    let setUp = try #require(federation.coordinator.state.setUp)
    #expect(setUp.stage == .sharing)
    func message(_ replacement: Announcement) -> [UInt8] {
      AnnouncementsMessage.message(
        setUp.announcements.map {
          ($0.site == replacement.site ? replacement : $0, $0.site == 1 ? nil : setUp.members[$0.site]?.boxes[1])
        }, setUp: setUp.terms.number, roster)
    }
    let victim = try #require(setUp.members[2]?.announcement)
    let sums = (0..<2).flatMap { KeyAgreement.fresh().publicKey + victim.commitment(at: $0) }
    let own = Announcement(
      site: 2, sharingKey: victim.sharingKey, sums: sums, terms: setUp.terms, roster, signing: .fresh())
    #expect(throws: SumError.notAuthentic("the signing key of hospital 2 is not the one that it sent this site")) {
      try federation.party(1).answer(to: message(own))
    }
    // The site's signing key with other keys: the signature is another's.
    let bytes = federation.wire.last { $0.site == 2 && !$0.isToSite }?.message ?? []
    var altered = try #require(try federation.coordinator.messageDue(to: 1))
    let place = try #require(position(of: Array(victim.sums.prefix(32)), in: altered))
    #expect(position(of: Array(victim.sums.prefix(32)), in: bytes) != nil)
    altered.replaceSubrange(place..<place + 32, with: KeyAgreement.fresh().publicKey)
    #expect(
      throws: SumError.notAuthentic("the announced keys of hospital 2 for this set-up are not signed by it")
    ) { try federation.party(1).answer(to: altered) }
    // This site's own keys replaced, by the one who knows its signing key.
    let signing = try #require(try federation.party(1).state.setUp?.signing)
    let mine = Announcement(
      site: 1, sharingKey: victim.sharingKey, sums: sums, terms: setUp.terms, roster, signing: signing)
    #expect(throws: SumError.inconsistent("the keys of this site are not the ones that it announced")) {
      try federation.party(1).answer(to: message(mine))
    }
    // Left out of its own set-up.
    let without = AnnouncementsMessage.message(
      setUp.announcements.filter { $0.site != 1 }.map { ($0, setUp.members[$0.site]?.boxes[1]) },
      setUp: setUp.terms.number, roster)
    #expect(throws: SumError.inconsistent("the keys of this site are not the ones that it announced")) {
      try federation.party(1).answer(to: without)
    }
  }

  private func position(of part: [UInt8], in bytes: [UInt8]) -> Int? {
    (0...bytes.count - part.count).first { bytes[$0..<$0 + part.count].elementsEqual(part) }
  }

  @Test func aSetUpOfTooFewSitesIsRefused() throws {
    let federation = try SumFederation(sites: 5, threshold: 4)
    try federation.coordinator.openSetUp(sums: 1)
    for site in federation.sites { try federation.exchange(site) }
    let setUp = try #require(federation.coordinator.state.setUp)
    let message = AnnouncementsMessage.message(
      setUp.announcements.prefix(3).map { ($0, $0.site == 1 ? nil : setUp.members[$0.site]?.boxes[1]) },
      setUp: setUp.terms.number, federation.roster)
    #expect(throws: SumError.cohort("a set-up of 3 sites, expected at least 4")) {
      try federation.party(1).answer(to: message)
    }
  }

  @Test func replayedKeysOfAnEarlierSumAreRefused() throws {
    let federation = try SumFederation.uploaded()
    let roster = federation.roster
    let old = try #require(federation.coordinator.state.sum).request
    let first = try federation.run()
    #expect(first.vector == federation.plainSum(federation.sites))
    try federation.begin("update 2")
    for site in federation.sites { try federation.exchange(site) }
    let party = try federation.party(1)
    // The same request, the same keys for something else, keys of the sum under way for something else.
    #expect(throws: SumError.replayed("sum 1, this site has been at 2")) { try party.answer(to: old.message(roster)) }
    for (sum, error) in [
      (UInt64(1), SumError.replayed("sum 1, this site has been at 2")), (2, .otherRequest(sum: 2)),
      (5, .replayed("sum 5, set-up 1 has keys for 1 to 4")), (0, .replayed("sum 0, set-up 1 has keys for 1 to 4")),
    ] {
      let message = try federation.request(sum: sum, purpose: "update 3", cohort: [1, 2, 3]).message(roster)
      #expect(throws: error) { try party.answer(to: message) }
    }
    // And the keys themselves are gone.
    #expect(party.state.setUp?.secrets.firstKept == 1)
    #expect(party.state.setUp?.held?[2]?.secret(at: 0, 0..<80) == nil)
  }

  @Test func aSetUpThatWasBeforeIsRefused() throws {
    let federation = try SumFederation(sites: 3, threshold: 2)
    let roster = federation.roster
    try federation.setUp(sums: 2)
    let announcements = try federation.last(.announcements, 1)
    let delivery = try federation.last(.delivery, 1)
    let opening = try federation.last(.opening, 1)
    try federation.coordinator.openSetUp(sums: 2)
    for site in federation.sites { try federation.exchange(site) }
    let party = try federation.party(1)
    #expect(throws: SumError.replayed("set-up 1, the last one here was 2")) { try party.answer(to: opening) }
    #expect(throws: SumError.outOfOrder("announcements for set-up 1")) { try party.answer(to: announcements) }
    // The old announcements under the new number.
    var renumbered = announcements
    renumbered[34] = 2
    #expect(throws: SumError.notAuthentic("the announced keys of hospital 1 for this set-up are not signed by it")) {
      try party.answer(to: renumbered)
    }
    for site in federation.sites { try federation.exchange(site) }
    #expect(throws: SumError.outOfOrder("a delivery of set-up 1")) { try party.answer(to: delivery) }
    var shares = delivery
    shares[34] = 2
    #expect(throws: SumError.inconsistent("other keys of set-up 2")) { try party.answer(to: shares) }
    // Sums that keys were made for before.
    let signing = federation.coordinator.state.signing
    let overlapping = SetUpTerms(number: 3, firstSum: 4, count: 2, aggregatorKey: signing.publicKey)
    let message = try Opening.message(overlapping, to: 1, roster, key: federation.aggregatorKey)
    #expect(throws: SumError.replayed("a set-up from sum 4 on, keys were made for all before 5")) {
      try party.answer(to: message)
    }
  }

  /// Shares under the names of others: sealed for another site, of another dealer, of another sum.
  @Test func sharesOfAnotherDealerSumOrSiteAreRefused() throws {
    let federation = try SumFederation(sites: 4, threshold: 3)
    let roster = federation.roster
    try federation.coordinator.openSetUp(sums: 2)
    while federation.coordinator.stage != .delivering {
      for site in federation.sites { try federation.exchange(site) }
    }
    let setUp = try #require(federation.coordinator.state.setUp)
    func delivery(_ alter: (inout [Int: [UInt8]]) -> Void) throws -> [UInt8] {
      var blocks = try #require(setUp.undelivered[1])
      alter(&blocks)
      return DeliveryMessage.message(
        federation.sites.map { ($0, blocks[$0]) }, setUpDigest: setUp.digest, terms: setUp.terms, roster)
    }
    let party = try federation.party(1)
    let size = SealedShares.byteCount
    let attacks: [(inout [Int: [UInt8]]) -> Void] = [
      { $0[2] = setUp.undelivered[3]?[2] }, { $0[2] = $0[3] }, { $0[2] = setUp.undelivered[2]?[1] },
      { $0[2] = $0[2].map { Array($0[size...] + $0[..<size]) } },
      { $0[2]?[50] ^= 1 },
    ]
    for attack in attacks {
      let error = #expect(throws: SumError.self) { try party.answer(to: delivery(attack)) }
      guard case .notAuthentic? = error else {
        Issue.record("expected shares that do not open, got \(String(describing: error))")
        return
      }
    }
    _ = try party.answer(to: delivery { _ in })
  }

  @Test func aShareForOneselfIsRefused() throws {
    let federation = try SumFederation(sites: 3, threshold: 2)
    try federation.coordinator.openSetUp(sums: 1)
    while federation.coordinator.stage != .delivering {
      for site in federation.sites { try federation.exchange(site) }
    }
    let setUp = try #require(federation.coordinator.state.setUp)
    let blocks = try #require(setUp.undelivered[1])
    let message = DeliveryMessage.message(
      [(1, blocks[2]), (2, blocks[2]), (3, blocks[3])], setUpDigest: setUp.digest, terms: setUp.terms, federation.roster
    )
    #expect(throws: SumError.malformed("a share for oneself")) { try federation.party(1).answer(to: message) }
    // And a site that deals one to itself is refused by the coordinator.
    var dealt = setUp.undelivered.compactMap { site, blocks in blocks[1].map { (site: site, value: $0) } }
    dealt.append((1, blocks[2] ?? []))
    let shares = SharesMessage.message(
      dealt.sorted { $0.site < $1.site }, setUpDigest: setUp.digest, terms: setUp.terms, federation.roster)
    #expect(throws: SumError.malformed("shares that are not for every other member, or one for oneself")) {
      try SharesMessage.read(
        shares, from: 1, members: [1, 2, 3], setUpDigest: setUp.digest, terms: setUp.terms, federation.roster)
    }
  }
}
