import Cryptography
import Testing

@testable import SecureSums

/// Requests that a lying aggregator may try: every site refuses them.
@Suite struct HostileRequestTests {
  @Test func aCohortOfOneOrUnderTheMinimumIsRefused() throws {
    let federation = try SumFederation.uploaded(minimum: 3)
    for cohort in [[], [1], [1, 2]] {
      let message = try federation.request(cohort: cohort).message(federation.roster)
      #expect(throws: SumError.cohort("\(cohort.count) sites, expected at least 3")) {
        try federation.party(1).answer(to: message)
      }
    }
    #expect(
      try federation.party(1).answer(to: federation.request(cohort: [2, 3, 4]).message(federation.roster)) == .nothing)
  }

  @Test func siteNumberZeroIsRefused() throws {
    let federation = try SumFederation.uploaded()
    for cohort in [[0, 1, 2], [1, 2, 7]] {
      let message = try federation.request(cohort: cohort).message(federation.roster)
      #expect(throws: SumError.malformed("a site of number \(cohort[0] == 0 ? 0 : 7)")) {
        try federation.party(1).answer(to: message)
      }
    }
    let all = try federation.list(federation.sites)
    let message = federation.signatures([(0, [UInt8](repeating: 0, count: 64))], of: all)
    _ = try federation.party(1).answer(to: all.message(federation.roster))
    #expect(throws: SumError.malformed("a site of number 0")) { try federation.party(1).answer(to: message) }
  }

  @Test func aRequestThatTheAggregatorHasNotSignedIsRefused() throws {
    let federation = try SumFederation.uploaded()
    let message = try federation.request(cohort: [1, 2, 3], signing: .fresh()).message(federation.roster)
    #expect(throws: SumError.notAuthentic("a request that the aggregator has not signed")) {
      try federation.party(1).answer(to: message)
    }
  }

  @Test func anotherCharterIsRefused() throws {
    let federation = try SumFederation(sites: 3, threshold: 2)
    try federation.setUp(sums: 1)
    federation.vectors = [1: [1], 2: [2], 3: [3]]
    try federation.begin("update 1")
    let request = try #require(try federation.coordinator.messageDue(to: 1))
    let other = try SumRoster(
      charterDigest: SHA256.hash("another charter".utf8).bytes, sites: federation.roster.sites,
      aggregatorKey: federation.aggregatorKey.publicKey, threshold: 2, minimum: 2)
    let party = try SumParty(roster: other, site: 1, key: federation.keys[0]) { _ in }
    for kind in [MessageKind.opening, .announcements, .delivery] {
      let message = try federation.last(kind, 1)
      // Some need an open set-up before they are read.
      #expect(throws: SumError.self) { try party.answer(to: message) }
      #expect(throws: SumError.otherCharter) {
        try MessageHeader.read(kind, message, other) { (_, _) throws(SumError) in }
      }
    }
    #expect(throws: SumError.otherCharter) { try party.answer(to: request) }
    // The other charter's digest in front does not help: it is in what was sealed and signed.
    var opening = try federation.last(.opening, 1)
    opening.replaceSubrange(2..<34, with: other.charterDigest)
    #expect(throws: SumError.notAuthentic("an opening for another site or charter")) { try party.answer(to: opening) }
    #expect(throws: SumError.otherCharter) {
      try federation.stores[0].bytes.withUnsafeBytes {
        try SumParty(restoring: $0, roster: other, site: 1, key: federation.keys[0]) { _ in }
      }
    }
  }

  @Test func anOpeningForAnotherSiteOrOfAnotherAggregatorIsRefused() throws {
    let federation = try SumFederation(sites: 3, threshold: 2)
    let roster = federation.roster
    try federation.coordinator.openSetUp(sums: 1)
    let terms = try #require(federation.coordinator.state.setUp?.terms)
    let forTwo = try #require(try federation.coordinator.messageDue(to: 2))
    #expect(throws: SumError.self) { try federation.party(1).answer(to: forTwo) }
    // Site 2 itself cannot play the aggregator, nor can somebody else.
    for key in [federation.keys[1], .fresh()] {
      let message = try Opening.message(terms, to: 1, roster, key: key)
      #expect(throws: SumError.self) { try federation.party(1).answer(to: message) }
    }
    // A box for site 1 that names site 2.
    let swapped = try SumRoster(
      charterDigest: roster.charterDigest, sites: [roster.sites[1], roster.sites[0], roster.sites[2]],
      aggregatorKey: roster.aggregatorKey, threshold: 2, minimum: 2)
    let message = try Opening.message(terms, to: 2, swapped, key: federation.aggregatorKey)
    #expect(throws: SumError.notAuthentic("an opening for another site or charter")) {
      try federation.party(1).answer(to: message)
    }
  }

  @Test func anotherFixedPointFormOrModelIsRefused() throws {
    let federation = try SumFederation.uploaded()
    let party = try federation.party(1)
    let otherFormat = try federation.request(cohort: [1, 2, 3], format: federation.format(11).digest)
    guard case .upload(let asked) = try party.answer(to: otherFormat.message(federation.roster)) else { return }
    var vector = [UInt64](repeating: 5, count: 10)
    #expect(throws: SumError.otherFormat) {
      try party.upload(
        for: asked, modelHash: federation.modelHash, format: federation.format(10), masking: &vector)
    }
    let otherModel = try federation.request(cohort: [1, 2, 3], model: SHA256.hash("altered".utf8).bytes)
    guard case .upload(let second) = try party.answer(to: otherModel.message(federation.roster)) else { return }
    #expect(throws: SumError.otherModel) {
      try party.upload(
        for: second, modelHash: federation.modelHash, format: federation.format(10), masking: &vector)
    }
    #expect(vector == [UInt64](repeating: 5, count: 10))
  }

  /// What was opened once is not summed anew with a site more or less; what was not, may be.
  @Test func whatWasOpenedIsNotSummedAnew() throws {
    let federation = try SumFederation.uploaded()
    let roster = federation.roster
    _ = try federation.run()
    let party = try federation.party(1)
    let again = try federation.request(attempt: 2, purpose: "update 1", cohort: [1, 2, 3, 4, 5]).message(roster)
    #expect(throws: SumError.alreadyGiven(purpose: "update 1")) { try party.answer(to: again) }
    try federation.restart(1)
    #expect(throws: SumError.alreadyGiven(purpose: "update 1")) { try federation.party(1).answer(to: again) }
    #expect(throws: SumError.misuse("update 1 was summed already")) { try federation.begin("update 1") }
  }

  @Test func anAttemptThatWasBeforeIsRefused() throws {
    let federation = try SumFederation.uploaded()
    let message = try federation.request(attempt: 1, purpose: "update 1", cohort: [1, 2, 3]).message(federation.roster)
    #expect(throws: SumError.replayed("attempt 1 at update 1, the last one here was 1")) {
      try federation.party(1).answer(to: message)
    }
  }

  /// The site is asked for its vector again, as after a restart, and has another one: the difference of two vectors under the same masks
  /// would be in the clear.
  @Test func twoVectorsUnderOneMaskAreRefused() throws {
    let federation = try SumFederation.uploaded()
    let sum = try #require(federation.coordinator.state.sum)
    for restarts in [false, true] {
      if restarts { try federation.restart(1) }
      let party = try federation.party(1)
      guard case .upload(let request) = try party.answer(to: sum.request.message(federation.roster)) else { return }
      var vector = try #require(federation.vectors[1])
      vector[0] &+= 1
      let clear = vector
      #expect(throws: SumError.otherValues(sum: 1)) {
        try party.upload(
          for: request, modelHash: federation.modelHash, format: federation.format(10), masking: &vector)
      }
      #expect(vector == clear)
      vector[0] &-= 1
      let header = try party.upload(
        for: request, modelHash: federation.modelHash, format: federation.format(10), masking: &vector)
      #expect(header == federation.files[1]?.message)
      #expect(vector == federation.files[1]?.vector)
    }
  }

  /// A site that signed a list without itself, before its upload: it sends none any more.
  @Test func anUploadAfterTheSurvivorsWereSignedIsNotMade() throws {
    var numbers = SeededNumbers(12)
    let federation = try SumFederation(sites: 4, threshold: 3)
    try federation.setUp(sums: 1)
    federation.draw(5, &numbers)
    try federation.begin("update 1")
    let message = try #require(try federation.coordinator.messageDue(to: 4))
    for site in 1...3 { try federation.exchange(site) }
    let party = try federation.party(4)
    guard case .upload(let request) = try party.answer(to: message) else { return }
    try federation.coordinator.proceed()
    let survivors = try #require(federation.coordinator.state.sum?.survivors)
    _ = try party.answer(to: survivors.message(federation.roster))
    var vector = try #require(federation.vectors[4])
    #expect(throws: SumError.late(site: "hospital 4")) {
      try party.upload(for: request, modelHash: federation.modelHash, format: federation.format(5), masking: &vector)
    }
    #expect(vector == federation.vectors[4])
    // What it has signed it still holds to.
    #expect(party.state.sum?.survivors == survivors)
  }
}
