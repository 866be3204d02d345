import Cryptography

/// Once for many sums: what sites announce and deal is passed on.
extension SumCoordinator {
  /// Begins a set-up with keys for `sums` sums. Sums that the last one had keys for and that were not begun are left out.
  ///
  /// - Throws: `.misuse` unless idle and for 1 to 1024 sums; `.storage`.
  package func openSetUp(sums: Int) throws(SumError) {
    guard stage == .idle else { throw .misuse("a set-up while another stage is under way") }
    guard SetUpTerms.counts.contains(sums) else { throw .misuse("a set-up for \(sums) sums, expected 1 to 1024") }
    guard state.nextSum <= SetUpTerms.lastSum, state.lastSetUp < .max else { throw .misuse("too many sums") }
    var next = state
    next.lastSetUp += 1
    let terms = SetUpTerms(
      number: next.lastSetUp, firstSum: next.nextSum, count: sums, aggregatorKey: next.signing.publicKey)
    next.nextSum = terms.sums.upperBound
    next.setUp = CoordinatorSetUp(terms: terms, nextSum: terms.firstSum)
    try commit(next)
  }

  func setUpMessage(_ setUp: CoordinatorSetUp, to site: Int) throws(SumError) -> [UInt8]? {
    if setUp.stage == .announcing {
      return setUp.members[site] == nil ? try Opening.message(setUp.terms, to: site, roster, key: key) : nil
    }
    guard setUp.members[site] != nil else { return nil }
    if !setUp.informed.contains(site) {
      let members = setUp.announcements.map { (announcement: $0, box: setUp.members[$0.site]?.boxes[site]) }
      return AnnouncementsMessage.message(members, setUp: setUp.terms.number, roster)
    }
    guard setUp.stage != .sharing, !setUp.holders.contains(site) else { return nil }
    let blocks = setUp.dealers.sorted().map { (site: $0, value: setUp.undelivered[site]?[$0]) }
    return DeliveryMessage.message(blocks, setUpDigest: setUp.digest, terms: setUp.terms, roster)
  }

  func receiveAnnouncement(_ message: [UInt8], from site: Int) throws(SumError) {
    guard let setUp = state.setUp, setUp.stage == .announcing, setUp.members[site] == nil else { return }
    var next = state
    next.setUp?.members[site] = try AnnouncementMessage(message, from: site, terms: setUp.terms, roster)
    remember(next)
    if waitingFor.isEmpty { try closeAnnouncements() }
  }

  func closeAnnouncements() throws(SumError) {
    guard var setUp = state.setUp else { return }
    setUp.digest = AnnouncementsMessage.digest(setUp.announcements, terms: setUp.terms, roster)
    setUp.stage = .sharing
    var next = state
    next.setUp = setUp
    try commit(next)
  }

  func receiveShares(_ message: [UInt8], from site: Int) throws(SumError) {
    guard var setUp = state.setUp, setUp.stage != .announcing, setUp.members[site] != nil,
      !setUp.informed.contains(site)
    else { return }
    let blocks = try SharesMessage.read(
      message, from: site, members: setUp.memberNumbers, setUpDigest: setUp.digest, terms: setUp.terms, roster)
    setUp.informed.insert(site)
    // Who deals too late has keys that nobody can give up: it holds the others' shares, but is in no cohort of this set-up.
    if setUp.stage == .sharing {
      setUp.dealers.insert(site)
      for (holder, block) in blocks { setUp.undelivered[holder, default: [:]][site] = block }
    }
    var next = state
    next.setUp = setUp
    remember(next)
    if stage == .sharing, waitingFor.isEmpty { try closeShares() }
  }

  func closeShares() throws(SumError) {
    var next = state
    next.setUp?.stage = .delivering
    try commit(next)
  }

  func receiveReceipt(_ message: [UInt8], from site: Int) throws(SumError) {
    guard let setUp = state.setUp, setUp.stage == .delivering || setUp.stage == .done, setUp.members[site] != nil,
      !setUp.holders.contains(site)
    else { return }
    try ReceiptMessage.check(message, setUpDigest: setUp.digest, terms: setUp.terms, roster)
    var next = state
    next.setUp?.informed.insert(site)
    next.setUp?.holders.insert(site)
    next.setUp?.undelivered[site] = nil
    // Written with the next state that must be: until then, a restart asks again.
    remember(next)
    if stage == .delivering, waitingFor.isEmpty { try closeSetUp() }
  }

  func closeSetUp() throws(SumError) {
    guard var setUp = state.setUp else { return }
    setUp.stage = .done
    // Boxes and shares are kept for those only who have not come for theirs yet.
    setUp.members = setUp.members.mapValues { member in
      AnnouncementMessage(
        member.announcement,
        member.boxes.filter { !setUp.informed.contains($0.key) }.map { (site: $0.key, value: $0.value) })
    }
    var next = state
    next.setUp = setUp
    try commit(next)
  }
}
