package import Cryptography
import Foundations

/// A site of secure sums (Bonawitz et al., "Practical secure aggregation for privacy-preserving machine learning", 2017, with signed lists of
/// survivors against an aggregator that lies): a state machine without network, clock or files.
///
/// The aggregator asks and the site answers. The same message is answered with the same bytes, also after a restart from what was
/// written. One thread at a time: not sendable.
package final class SumParty {
  package let roster: SumRoster
  /// This site's number, from 1.
  package let site: Int
  /// Of the charter.
  let key: KeyAgreement
  private let persist: (UnsafeRawBufferPointer) throws -> Void
  private(set) var state: PartyState
  /// The last request that was found right. Not part of the state: before an upload leaves, nothing depends on it.
  var accepted: SignedRequest?

  /// A site that has taken part in nothing yet.
  ///
  /// - Parameters:
  ///   - site: its number, 1 to as many as the charter has sites.
  ///   - key: the pair whose public half the charter has.
  ///   - persist: writes the state, which holds secrets (mode 0600, atomic, synced), before it returns. Called before every answer that must not
  ///     be forgotten. When it throws, so does the call (`.storage`), and nothing has changed.
  /// - Throws: `.misuse` for a site or a key that is not the charter's.
  package convenience init(
    roster: SumRoster, site: Int, key: KeyAgreement, persist: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws(SumError) {
    try self.init(roster, site, key, PartyState(), persist)
  }

  /// From the bytes that `persist` was given last.
  ///
  /// - Throws: `.state` for bytes that cannot be used; `.otherCharter`; `.misuse`.
  package convenience init(
    restoring bytes: UnsafeRawBufferPointer, roster: SumRoster, site: Int, key: KeyAgreement,
    persist: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws(SumError) {
    try self.init(roster, site, key, try PartyState(bytes, roster, site: site), persist)
  }

  private init(
    _ roster: SumRoster, _ site: Int, _ key: KeyAgreement, _ state: PartyState,
    _ persist: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws(SumError) {
    guard roster.numbers.contains(site) else { throw .misuse("site \(site) of \(roster.sites.count)") }
    guard key.publicKey == roster.sites[site - 1].publicKey else {
      throw .misuse("the key is not the one that the charter has for \(roster.name(site))")
    }
    self.roster = roster
    self.site = site
    self.key = key
    self.state = state
    self.persist = persist
  }

  package enum Answer: Equatable {
    /// To be sent to the aggregator.
    case reply([UInt8])
    /// The aggregator wants this site's vector: make it, then call `upload`.
    case upload(SumRequest)
    /// Nothing is asked of this site.
    case nothing
  }

  /// Any message of the aggregator's. When it throws, nothing has changed and nothing was given away.
  ///
  /// - Throws: `.malformed`, `.otherCharter`, `.notAuthentic`, `.outOfOrder`, `.inconsistent`, `.replayed`, `.cohort`, `.otherRequest`,
  ///   `.survivors`, `.otherSurvivors`, `.signatures`, `.alreadyGiven` for what no site may answer; `.storage`.
  package func answer(to message: [UInt8]) throws(SumError) -> Answer {
    switch try MessageHeader.kind(of: message) {
    case .opening: .reply(try announce(message))
    case .announcements: .reply(try deal(message))
    case .delivery: .reply(try take(message))
    case .request: try accept(message)
    case .survivors: .reply(try sign(message))
    case .signatures: .reply(try give(message))
    case .announcement, .shares, .receipt, .upload, .signature, .given:
      throw .malformed("a message that sites send")
    }
  }

  /// Sums that this site can still take part in before a new set-up.
  package var keysLeft: Int {
    guard let setUp = state.setUp, let held = setUp.held, held[site] != nil else { return 0 }
    let first = state.sum.map { $0.request.request.sum + 1 } ?? setUp.terms.firstSum
    return max(0, Int(clamping: setUp.terms.sums.upperBound) - Int(clamping: first))
  }

  /// The sum that this site has sent a vector for, or signed survivors of, last.
  package var lastRequest: SumRequest? { state.sum?.request.request }

  /// Whether this site gave its shares for the last request.
  package var hasGiven: Bool { state.sum?.isGiven ?? false }

  /// Writes the new state, then takes it.
  func commit(_ next: PartyState) throws(SumError) {
    do {
      try next.bytes(roster, site: site).withUnsafeBytes(persist)
    } catch {
      throw .storage(String(describing: error).printable())
    }
    state = next
  }
}
