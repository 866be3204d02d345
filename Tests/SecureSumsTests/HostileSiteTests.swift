import Cryptography
import Testing

@testable import SecureSums

/// What a site that lies may try, and that the aggregator takes no wrong sum from it.
@Suite struct HostileSiteTests {
  private func ready(_ sites: Int, threshold: Int) throws -> SumFederation {
    var numbers = SeededNumbers(21)
    let federation = try SumFederation(sites: sites, threshold: threshold)
    try federation.setUp(sums: 1)
    federation.draw(12, &numbers)
    try federation.begin("update 1")
    return federation
  }

  @Test func aWrongShareIsFoundWhenOneMoreSiteGives() throws {
    let federation = try ready(5, threshold: 3)
    // The last limb of the last three shares is another: an entry has a number and 40 bytes.
    federation.tamper = { site, reply in
      guard site == 1, reply.first == MessageKind.given.rawValue else { return }
      for entry in 0..<3 { reply[reply.count - 8 - entry * 44] ^= 1 }
    }
    try federation.pump()
    #expect(federation.coordinator.answered == [1, 2, 3])
    let error = #expect(throws: SumError.self) { try federation.coordinator.result() }
    guard case .wrongShares? = error else {
      Issue.record("expected wrong shares, got \(String(describing: error))")
      return
    }
    // Another site gives: what is left out is found by the commitments.
    while try federation.exchange(4) {}
    #expect(try federation.coordinator.result().vector == federation.plainSum(federation.sites))
  }

  /// A site that commits to another seed than it shares and masks with: nothing comes out, and it is named.
  @Test func aCommitmentThatDoesNotMatchIsFound() throws {
    var numbers = SeededNumbers(22)
    let federation = try SumFederation(sites: 3, threshold: 2)
    let roster = federation.roster
    try federation.coordinator.openSetUp(sums: 1)
    let liar = try federation.party(2)
    _ = try liar.answer(to: try #require(try federation.coordinator.messageDue(to: 2)))
    var state = liar.state
    let honest = try #require(state.setUp)
    let announcement = Announcement(
      site: 2, sharingKey: honest.announcement.sharingKey,
      sums: honest.announcement.publicKey(at: 0) + [UInt8](repeating: 7, count: 32), terms: honest.terms, roster,
      signing: honest.signing)
    let boxes = try [1, 3].map { other in
      (
        site: other,
        value: try SigningKeyBox.seal(
          honest.signing.publicKey, setUp: 1, from: 2, to: other, roster, key: federation.keys[1])
      )
    }
    state.setUp = PartySetUp(
      terms: honest.terms, signing: honest.signing, announcement: announcement,
      announced: AnnouncementMessage.message(announcement, boxes, setUp: 1, roster), sharing: honest.sharing,
      secrets: honest.secrets)
    try liar.commit(state)
    try federation.pump()
    federation.draw(4, &numbers)
    try federation.begin("update 1")
    try federation.pump()
    #expect(throws: SumError.wrongShares("the seed of hospital 2, from hospital 1, hospital 2")) {
      try federation.coordinator.result()
    }
  }

  @Test func anUploadThatWasAlteredOrIsAnothersIsNotAdded() throws {
    let federation = try ready(3, threshold: 2)
    for site in [1, 2] { try federation.exchange(site) }
    let message = try #require(try federation.coordinator.messageDue(to: 3))
    guard case .upload(let request) = try federation.party(3).answer(to: message) else { return }
    var vector = try #require(federation.vectors[3])
    let header = try federation.party(3).upload(
      for: request, modelHash: federation.modelHash, format: federation.format(12), masking: &vector)
    func send(_ header: [UInt8], _ vector: [UInt64], from site: Int) throws {
      try vector.withUnsafeBufferPointer {
        try federation.coordinator.receive(upload: header, vector: $0, from: site)
      }
    }
    var altered = vector
    altered[11] ^= 1
    #expect(throws: SumError.malformed("the vector of hospital 3 was altered on the way")) {
      try send(header, altered, from: 3)
    }
    #expect(throws: SumError.malformed("a vector of 11 entries, expected 12")) {
      try send(header, Array(vector.dropLast()), from: 3)
    }
    let first = try #require(federation.files[1])
    #expect(throws: SumError.notAuthentic("an upload that hospital 3 has not signed")) {
      try send(first.message, first.vector, from: 3)
    }
    // A second vector under the site's own signature.
    let signing = try #require(try federation.party(1).state.setUp?.signing)
    let second = UploadMessage(
      vectorDigest: VectorDigest.bytes(of: altered), site: 1, request: request, federation.roster, signing: signing)
    #expect(throws: SumError.inconsistent("hospital 1 has sent two vectors for one sum")) {
      try send(second.message(request, setUp: 1, federation.roster), altered, from: 1)
    }
    // The first again changes nothing; the third completes the sum.
    try send(first.message, first.vector, from: 1)
    try send(header, vector, from: 3)
    #expect(try federation.run().vector == federation.plainSum([1, 2, 3]))
  }

  @Test func aSignatureOrSharesOfAnotherSiteAreRefused() throws {
    let federation = try ready(4, threshold: 3)
    for site in federation.sites { try federation.exchange(site) }
    let survivors = try #require(try federation.coordinator.messageDue(to: 1))
    guard case .reply(let signature) = try federation.party(1).answer(to: survivors) else { return }
    #expect(throws: SumError.notAuthentic("a signature that is not hospital 2's")) {
      try federation.coordinator.receive(signature, from: 2)
    }
    #expect(throws: SumError.misuse("a message of site 0")) { try federation.coordinator.receive(signature, from: 0) }
    #expect(throws: SumError.misuse("a message of site 5")) { try federation.coordinator.receive(signature, from: 5) }
    #expect(throws: SumError.malformed("a message that the aggregator sends")) {
      try federation.coordinator.receive(survivors, from: 1)
    }
    #expect(throws: SumError.malformed("a message that sites send")) { try federation.party(1).answer(to: signature) }
  }

  /// A weak key in an announcement that is otherwise right is noticed before anything is masked with it.
  @Test func aWeakEphemeralKeyIsRefusedByWhoWouldUseIt() throws {
    let label = SumMaskLabel(
      charterDigest: SumFederation.charterDigest, sum: 1, attempt: 1, cohortDigest: [UInt8](repeating: 0, count: 32))
    #expect(throws: CryptographyError.weakPublicKey) {
      try label.pairKey(own: .fresh(), publicKey: [1] + [UInt8](repeating: 0, count: 31), sites: (1, 2))
    }
  }
}
