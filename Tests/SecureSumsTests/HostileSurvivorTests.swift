import Cryptography
import Testing

@testable import SecureSums

/// What a lying aggregator makes for itself. It has the coordinator's state and keys.
extension SumFederation {
  /// Six sites with keys for four sums, and an upload of each for the first.
  static func uploaded(threshold: Int = 5, minimum: Int = 3) throws -> SumFederation {
    var numbers = SeededNumbers(11)
    let federation = try SumFederation(sites: 6, threshold: threshold, minimum: minimum)
    try federation.setUp(sums: 4)
    federation.draw(10, &numbers)
    try federation.begin("update 1")
    for site in federation.sites { try federation.exchange(site) }
    return federation
  }

  /// A list of these survivors, with what they uploaded.
  func list(_ sites: [Int]) throws -> SurvivorList {
    let sum = try #require(coordinator.state.sum)
    return SurvivorList(
      request: sum.request,
      uploads: try sites.map { SurvivorList.Entry(site: $0, upload: try #require(sum.uploads[$0])) }, roster)
  }

  /// A request of the aggregator's own making, properly signed.
  func request(
    sum: UInt64 = 2, attempt: Int = 1, purpose: String = "update 2", cohort: [Int], format: [UInt8]? = nil,
    model: [UInt8]? = nil, signing: Signing? = nil
  ) throws -> SignedRequest {
    let setUp = try #require(coordinator.state.setUp)
    return SignedRequest(
      sum: sum, attempt: attempt, purpose: purpose, modelHash: model ?? modelHash,
      formatDigest: try format ?? self.format(10).digest, cohort: cohort, setUp: setUp.terms.number,
      setUpDigest: setUp.digest, roster, signing: signing ?? coordinator.state.signing)
  }

  func signature(_ answer: SumParty.Answer, of list: SurvivorList) throws -> [UInt8] {
    guard case .reply(let reply) = answer else {
      Issue.record("expected a signature")
      return []
    }
    return try SignatureMessage.read(reply, survivors: list, roster)
  }

  func signatures(_ signatures: [(site: Int, value: [UInt8])], of list: SurvivorList) -> [UInt8] {
    SignaturesMessage.message(signatures, survivors: list.digest, setUp: list.request.setUp, roster)
  }
}

/// Lists of survivors and signatures that a lying aggregator may try: every site refuses them.
@Suite struct HostileSurvivorTests {
  // MARK: - Lists

  /// Two lists, each to half of the sites: no site signs the other, and neither list gets enough signatures, alone or mixed.
  @Test func inconsistentListsToDifferentSitesOpenNothing() throws {
    let federation = try SumFederation.uploaded()
    let roster = federation.roster
    let lists = [try federation.list([1, 2, 3, 4, 5, 6]), try federation.list([1, 2, 3, 4, 5])]
    var signed: [[(site: Int, value: [UInt8])]] = [[], []]
    for site in federation.sites {
      let half = site <= 3 ? 0 : 1
      let party = try federation.party(site)
      let answer = try party.answer(to: lists[half].message(roster))
      signed[half].append((site, try federation.signature(answer, of: lists[half])))
      #expect(throws: SumError.otherSurvivors(sum: 1)) { try party.answer(to: lists[1 - half].message(roster)) }
      // Asked again for the same list it signs the same.
      #expect(try party.answer(to: lists[half].message(roster)) == answer)
    }
    for site in federation.sites {
      let half = site <= 3 ? 0 : 1
      let party = try federation.party(site)
      #expect(throws: SumError.signatures("3 signatures, expected at least 5")) {
        try party.answer(to: federation.signatures(signed[half], of: lists[half]))
      }
      #expect(throws: SumError.self) {
        try party.answer(to: federation.signatures(signed[0] + signed[1], of: lists[half]))
      }
      #expect(throws: SumError.otherSurvivors(sum: 1)) {
        try party.answer(to: federation.signatures(signed[1 - half], of: lists[1 - half]))
      }
    }
  }

  /// After its shares for one list a site gives none for another, so never both shares of the site that is in one and not in the other.
  @Test func bothSharesOfOneSiteAreNeverGiven() throws {
    let federation = try SumFederation.uploaded()
    let roster = federation.roster
    let all = try federation.list([1, 2, 3, 4, 5, 6])
    let without = try federation.list([1, 2, 3, 4, 5])
    // Five sites in league sign whatever they are asked to, with their own keys.
    func forged(_ list: SurvivorList) throws -> [(site: Int, value: [UInt8])] {
      try (2...6).map { site in
        let signing = try #require(try federation.party(site).state.setUp?.signing)
        return (site, signing.sign(SurvivorList.statement(list.digest, roster)))
      }
    }
    let honest = try federation.party(1)
    _ = try honest.answer(to: all.message(roster))
    let given = try honest.answer(to: federation.signatures(try forged(all), of: all))
    guard case .reply(let shares) = given else { return }
    #expect(try GivenMessage.read(shares, survivors: all, roster).map(\.site) == federation.sites)
    #expect(throws: SumError.otherSurvivors(sum: 1)) { try honest.answer(to: without.message(roster)) }
    #expect(throws: SumError.otherSurvivors(sum: 1)) {
      try honest.answer(to: federation.signatures(try forged(without), of: without))
    }
    try federation.restart(1)
    let again = try federation.party(1)
    #expect(try again.answer(to: federation.signatures(try forged(all), of: all)) == given)
    #expect(throws: SumError.otherSurvivors(sum: 1)) {
      try again.answer(to: federation.signatures(try forged(without), of: without))
    }
  }

  @Test func aSiteTwiceInAListIsRefused() throws {
    let federation = try SumFederation.uploaded()
    let roster = federation.roster
    let message = try federation.list([1, 2, 2, 3]).message(roster)
    #expect(throws: SumError.malformed("site 2 is listed twice")) { try federation.party(1).answer(to: message) }
    let unordered = try federation.list([2, 1, 3]).message(roster)
    #expect(throws: SumError.malformed("a list that is not in the charter's order")) {
      try federation.party(1).answer(to: unordered)
    }
  }

  @Test func survivorsUnderTheMinimumAreRefused() throws {
    let federation = try SumFederation.uploaded(minimum: 3)
    for sites in [[1], [1, 2]] {
      let message = try federation.list(sites).message(federation.roster)
      #expect(throws: SumError.survivors("\(sites.count) sites, expected at least 3")) {
        try federation.party(1).answer(to: message)
      }
    }
    let none = try federation.list([]).message(federation.roster)
    #expect(throws: SumError.survivors("0 sites, expected at least 3")) { try federation.party(1).answer(to: none) }
  }

  /// Sites that sent nothing cannot be listed to make up the numbers, nor another vector of one that did.
  @Test func uploadsThatAreMadeUpAreRefused() throws {
    let federation = try SumFederation.uploaded()
    let roster = federation.roster
    let sum = try #require(federation.coordinator.state.sum)
    let forged = UploadMessage(
      vectorDigest: [UInt8](repeating: 1, count: 32), site: 2, request: sum.request.request, roster, signing: .fresh())
    let uploads = try [1, 2, 3].map {
      SurvivorList.Entry(site: $0, upload: $0 == 2 ? forged : try #require(sum.uploads[$0]))
    }
    let message = SurvivorList(request: sum.request, uploads: uploads, roster).message(roster)
    #expect(throws: SumError.survivors("hospital 2 has not signed the upload that it is listed with")) {
      try federation.party(1).answer(to: message)
    }
    // Site 2's own signature on a vector that it never sent cannot be had; but suppose it could.
    let signing = try #require(try federation.party(2).state.setUp?.signing)
    let other = UploadMessage(
      vectorDigest: [UInt8](repeating: 1, count: 32), site: 2, request: sum.request.request, roster, signing: signing)
    let entries = uploads.map { $0.site == 2 ? SurvivorList.Entry(site: 2, upload: other) : $0 }
    #expect(throws: SumError.survivors("this site has not sent the upload that it is listed with")) {
      try federation.party(2).answer(to: SurvivorList(request: sum.request, uploads: entries, roster).message(roster))
    }
  }

  @Test func aSurvivorOutsideTheCohortIsRefused() throws {
    let federation = try SumFederation.uploaded()
    let narrow = try federation.request(cohort: [1, 2, 3])
    let sum = try #require(federation.coordinator.state.sum)
    let uploads = try [1, 2, 3, 4].map { SurvivorList.Entry(site: $0, upload: try #require(sum.uploads[$0])) }
    let message = SurvivorList(request: narrow, uploads: uploads, federation.roster).message(federation.roster)
    #expect(throws: SumError.survivors("a site that is not in the cohort")) {
      try federation.party(5).answer(to: message)
    }
  }

  // MARK: - Signatures

  @Test func signaturesThatAreTooFewForgedOrDoubledOpenNothing() throws {
    let federation = try SumFederation.uploaded()
    let roster = federation.roster
    let all = try federation.list(federation.sites)
    var signed: [(site: Int, value: [UInt8])] = []
    for site in federation.sites {
      let answer = try federation.party(site).answer(to: all.message(roster))
      signed.append((site, try federation.signature(answer, of: all)))
    }
    let party = try federation.party(1)
    #expect(throws: SumError.signatures("4 signatures, expected at least 5")) {
      try party.answer(to: federation.signatures(Array(signed.prefix(4)), of: all))
    }
    var forged = signed
    forged[4].value = Signing.fresh().sign(SurvivorList.statement(all.digest, roster))
    #expect(throws: SumError.signatures("the signature of hospital 5 is not its own")) {
      try party.answer(to: federation.signatures(forged, of: all))
    }
    forged[4].value = signed[3].value
    #expect(throws: SumError.self) { try party.answer(to: federation.signatures(forged, of: all)) }
    #expect(throws: SumError.malformed("site 4 is listed twice")) {
      try party.answer(to: federation.signatures(Array(signed.prefix(4)) + [signed[3]], of: all))
    }
    #expect(!party.hasGiven)
    _ = try party.answer(to: federation.signatures(Array(signed.prefix(5)), of: all))
    #expect(party.hasGiven)
  }

  @Test func sharesAreNotGivenForAListThatTheSiteHasNotSigned() throws {
    let federation = try SumFederation.uploaded()
    let all = try federation.list(federation.sites)
    let message = federation.signatures([], of: all)
    #expect(throws: SumError.outOfOrder("signatures of survivors that this site has not signed")) {
      try federation.party(1).answer(to: message)
    }
  }
}
