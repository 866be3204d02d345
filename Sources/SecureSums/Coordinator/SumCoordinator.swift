package import Cryptography
import Foundations

/// The aggregator of secure sums: a state machine without network, clock or files. It learns sums over at least as many sites as the charter's
/// minimum, and nothing else.
///
/// It says what each site is to be sent (`messageDue`), takes what comes back (`receive`), and goes on by itself when all who can
/// answer have, or as many as are needed; `proceed` goes on without the others. One thread at a time: not sendable.
package final class SumCoordinator {
  package let roster: SumRoster
  /// Of the charter.
  let key: KeyAgreement
  private let persist: (UnsafeRawBufferPointer) throws -> Void
  private(set) var state: CoordinatorState
  /// Vectors added up so far, and whose. Not part of the state: after a restart they are given anew.
  var total: [UInt64] = []
  var added: Set<Int> = []

  /// An aggregator that has summed nothing yet.
  ///
  /// - Parameters:
  ///   - key: the pair whose public half the charter has.
  ///   - persist: writes the state, which holds a signing key (mode 0600, atomic, synced), before it returns. When it throws, so does the call
  ///     (`.storage`), and nothing has changed.
  /// - Throws: `.misuse` for a key that is not the charter's; `.storage`.
  package convenience init(
    roster: SumRoster, key: KeyAgreement, persist: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws(SumError) {
    let state = CoordinatorState(signing: .fresh())
    try self.init(roster, key, state, persist)
    try commit(state)
  }

  /// From the bytes that `persist` was given last. Vectors of the sum under way are given anew (`vectorsMissing`).
  ///
  /// - Throws: `.state` for bytes that cannot be used; `.otherCharter`; `.misuse`.
  package convenience init(
    restoring bytes: UnsafeRawBufferPointer, roster: SumRoster, key: KeyAgreement,
    persist: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws(SumError) {
    try self.init(roster, key, try CoordinatorState(bytes, roster), persist)
  }

  private init(
    _ roster: SumRoster, _ key: KeyAgreement, _ state: CoordinatorState,
    _ persist: @escaping (UnsafeRawBufferPointer) throws -> Void
  ) throws(SumError) {
    guard key.publicKey == roster.aggregatorKey else { throw .misuse("the key is not the one that the charter has") }
    self.roster = roster
    self.key = key
    self.state = state
    self.persist = persist
  }

  package enum Stage: Sendable, Equatable {
    /// A set-up or a sum can begin.
    case idle
    /// Sites announce their keys.
    case announcing
    /// Sites deal shares of their secrets.
    case sharing
    /// Sites confirm the shares that they were sent.
    case delivering
    /// Sites send masked vectors.
    case uploading
    /// Sites sign who is in the sum.
    case signing
    /// Sites give shares.
    case unmasking
    /// `result` can be called.
    case unmaskable
  }

  package var stage: Stage {
    if let sum = state.sum {
      if sum.isUnmaskable { return .unmaskable }
      if sum.isReleased { return .unmasking }
      return sum.survivors == nil ? .uploading : .signing
    }
    switch state.setUp?.stage {
    case .announcing: return .announcing
    case .sharing: return .sharing
    case .delivering: return .delivering
    case .done, nil: return .idle
    }
  }

  /// Sums that can still be begun before a new set-up.
  package var keysLeft: Int {
    guard let setUp = state.setUp, setUp.stage == .done else { return 0 }
    return Int(clamping: setUp.terms.sums.upperBound - setUp.nextSum)
  }

  /// The number of the sum that is begun next; that of a new set-up's first where this one has no keys left.
  package var nextSum: UInt64 {
    guard let setUp = state.setUp, setUp.terms.sums.contains(setUp.nextSum) else { return state.nextSum }
    return setUp.nextSum
  }

  /// Whether a sum of this purpose was finished, so that it cannot be begun again.
  package func isFinished(purpose: String) -> Bool { state.purposes.isGiven(purpose) }

  /// Sites that can be in a cohort under the present set-up, in the order of the charter.
  package var setUpSites: [Int] {
    guard let setUp = state.setUp, setUp.stage == .done else { return [] }
    return setUp.dealers.sorted()
  }

  /// The request of the sum under way.
  package var request: SumRequest? { state.sum?.request.request }

  /// Whose uploads are in the sum under way so far, in the order of the charter.
  package var uploads: [Int] { state.sum?.uploads.keys.sorted() ?? [] }

  /// Whose answers this stage has, in the order of the charter.
  package var answered: [Int] {
    guard let setUp = state.setUp else { return [] }
    let sites: any Sequence<Int> =
      switch (stage, state.sum) {
      case (.announcing, _): setUp.members.keys
      case (.sharing, _): setUp.dealers
      case (.delivering, _): setUp.holders
      case (.uploading, let sum?): sum.uploads.keys
      case (.signing, let sum?): sum.signatures.keys
      case (.unmasking, let sum?), (.unmaskable, let sum?): sum.given.keys
      default: [Int]()
      }
    return Array(sites).sorted()
  }

  /// Whose answer is missing in this stage, of those who can answer: for a person. In `signing` and `unmasking` the threshold is enough.
  package var waitingFor: [Int] {
    guard let setUp = state.setUp else { return [] }
    let asked: [Int] =
      switch stage {
      case .idle, .unmaskable: []
      case .announcing: Array(roster.numbers)
      case .sharing, .delivering, .signing, .unmasking: setUp.memberNumbers
      case .uploading: state.sum?.request.request.cohort ?? []
      }
    let answered = Set(answered)
    return asked.filter { !answered.contains($0) }
  }

  /// How many answers `proceed` needs in this stage.
  package var needed: Int {
    switch stage {
    case .idle, .unmaskable: 0
    case .announcing: max(roster.threshold, roster.minimum)
    case .sharing, .uploading: roster.minimum
    case .delivering, .signing, .unmasking: roster.threshold
    }
  }

  /// Patience is over: goes on with those who have answered.
  ///
  /// - Throws: `.waiting` with the names of those who are missing when fewer than `needed` have answered; `.storage`.
  package func proceed() throws(SumError) {
    let have = answered.count
    guard have >= needed else {
      throw .waiting(missing: roster.names(waitingFor), have: have, need: needed)
    }
    switch stage {
    case .idle, .unmaskable: return
    case .announcing: try closeAnnouncements()
    case .sharing: try closeShares()
    case .delivering: try closeSetUp()
    case .uploading: try closeUploads()
    case .signing: try release()
    case .unmasking: try closeGiving()
    }
  }

  /// What a connected site is to be sent now, again or for the first time; nil: nothing.
  ///
  /// - Throws: `.roster` for a key of the charter that no secret can be shared with.
  package func messageDue(to site: Int) throws(SumError) -> [UInt8]? {
    guard let setUp = state.setUp, roster.numbers.contains(site) else { return nil }
    return try setUpMessage(setUp, to: site) ?? sumMessage(setUp, to: site)
  }

  /// An answer of a site, but for an upload. One that is too late or was there already changes nothing.
  ///
  /// - Parameter site: proven by its connection.
  /// - Throws: `.malformed`, `.otherCharter`, `.notAuthentic`, `.outOfOrder`, `.inconsistent` for what is not taken; `.storage`.
  package func receive(_ message: [UInt8], from site: Int) throws(SumError) {
    guard roster.numbers.contains(site) else { throw .misuse("a message of site \(site)") }
    switch try MessageHeader.kind(of: message) {
    case .announcement: try receiveAnnouncement(message, from: site)
    case .shares: try receiveShares(message, from: site)
    case .receipt: try receiveReceipt(message, from: site)
    case .signature: try receiveSignature(message, from: site)
    case .given: try receiveGiven(message, from: site)
    case .upload: throw .misuse("an upload without its vector")
    case .opening, .announcements, .delivery, .request, .survivors, .signatures:
      throw .malformed("a message that the aggregator sends")
    }
  }

  /// Writes the new state, then takes it.
  func commit(_ next: CoordinatorState) throws(SumError) {
    do {
      try next.bytes(roster).withUnsafeBytes(persist)
    } catch {
      throw .storage(String(describing: error).printable())
    }
    state = next
  }

  /// Takes a new state that need not be written: after a restart sites answer the same again.
  func remember(_ next: CoordinatorState) {
    state = next
  }
}
