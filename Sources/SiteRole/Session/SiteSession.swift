import Cryptography
package import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Numerics
import OwnerRole
package import Protocol
import SecureSums

/// One site's part in a federation, from the greeting to the model in its run directory.
///
/// The site answers what the aggregator asks and decides nothing but whether to answer: what it refuses (`SumParty`) ends the session with the
/// reason. Everything that must survive a kill is written before it is answered.
package final class SiteSession {
  let work: any SiteContribution
  let directory: SiteDirectory
  let connection: ServerConnection<SiteRequest, AggregatorAnswer>
  let options: SiteOptions
  let observe: (SiteEvent) -> Void
  private let isInterrupted: () -> Bool
  private var history: SiteHistory
  private var differencing: Differencing
  /// Nil where sums are not masked.
  private let party: SumParty?
  /// What came while the site was at work.
  private var waiting: [AggregatorAnswer] = []
  /// The model fetched last.
  private var model: (rounds: Int, hash: [UInt8], vector: [Float])?
  /// Whether the starting model was seen to be the one that this site would have drawn: a group key that is not the others' shows there alone.
  private var hasSeenStart = false
  /// Whom the aggregator said last that it waits for.
  private var awaited: AwaitedSites?
  /// Of this process: the aggregator tells its connections from those of a second program under the site's key.
  private let instance = (0..<2).map { _ in UInt64.random(in: .min ... .max).hexadecimal }.joined()
  /// The vector made last, so that one that is asked for again at once is not made twice.
  private var made: (purpose: SumPurpose, entries: [UInt64])?

  /// - Parameters:
  ///   - directory: open, and no other process's.
  ///   - key: the site's.
  ///   - channel: to the aggregator.
  /// - Throws: `SumError`, `FileError`.
  package init(
    work: any SiteContribution, directory: SiteDirectory, key: CurveKeyPair, channel: any OwnerChannel,
    options: SiteOptions,
    isInterrupted: @escaping () -> Bool, observe: @escaping (SiteEvent) -> Void
  ) throws {
    self.work = work
    self.directory = directory
    self.options = options
    self.observe = observe
    self.isInterrupted = isInterrupted
    connection = ServerConnection(
      channel: channel, job: work.plan.job, software: options.software, peer: options.peer, silence: options.silence)
    history = try SiteHistory(directory)
    differencing = Differencing(sites: work.plan.charter.sites.map(\.name), records: history.records)
    try work.check(history.records)
    party = try work.plan.roster.map { roster in
      try Self.party(roster, site: work.site + 1, key: key, directory)
    }
  }

  private static func party(
    _ roster: SumRoster, site: Int, key: CurveKeyPair, _ directory: SiteDirectory
  ) throws -> SumParty {
    let agreement = try key.withSecretBytes { try KeyAgreement(secret: $0) }
    let persist: (UnsafeRawBufferPointer) throws -> Void = { try directory.store(sums: $0) }
    return try directory.withSums { kept in
      guard let kept else { return try SumParty(roster: roster, site: site, key: agreement, persist: persist) }
      return try SumParty(restoring: kept, roster: roster, site: site, key: agreement, persist: persist)
    }
  }

  /// Takes part until the result is here.
  ///
  /// - Returns: how the federation ended, and its records.
  /// - Throws: `SiteError`, `SumError` for what an honest aggregator does not ask, `FixedPointError`, `DatasetError`, `FileError`.
  package func run() throws -> (result: FederationResult, records: [SumRecord]) {
    defer { connection.close() }
    try work.begin()
    try work.writePlan { done, total in
      if isInterrupted() { throw SiteError.interrupted }
      observe(.planning(done: done, total: total))
    }
    var isReported = false
    while true {
      do {
        try greet(isReported: isReported)
        return (try serve(), history.records)
      } catch OwnerError.trainerGone(let reason) {
        if isInterrupted() { throw SiteError.interrupted }
        observe(.lost(reason))
        isReported = true
        waiting = []
      } catch OwnerError.refused(let kind, let reason) {
        throw SiteError.refused(kind: kind, reason: reason)
      }
    }
  }

  private func greet(isReported: Bool) throws {
    var isReported = isReported
    do {
      let greeting = try connection.greet(patience: options.patience, interrupted: isInterrupted) { reason in
        if !isReported { observe(.waiting(reason)) }
        isReported = true
      }
      observe(.connected(software: greeting.software))
    } catch OwnerError.trainerGone(let reason) {
      throw isInterrupted() ? SiteError.interrupted : SiteError.aggregatorGone(reason)
    }
  }

  private func serve() throws -> FederationResult {
    try connection.send(.join(FederationJoin(charterDigest: work.plan.digest)))
    _ = try connection.waitFor { $0 == .joined ? true : nil }
    var introduction = work.introduction
    introduction.records = history.records.count
    introduction.instance = instance
    introduction.hearsAwaited = true
    awaited = nil
    try connection.send(.introduce(introduction))
    let clock = ContinuousClock()
    var notice = WaitingNotice(at: clock.now)
    while true {
      guard let answer = try next(timeout: .milliseconds(500)) else {
        if let waited = notice.due(at: clock.now) { observe(.idle(waited, sent: made?.purpose, awaited: awaited)) }
        continue
      }
      if case .awaited(let sites) = answer {
        try note(sites)
        continue
      }
      if let result = try handle(answer) { return result }
      notice.reset(at: clock.now)
    }
  }

  /// The next message, those first that came while the site was at work.
  private func next(timeout: Duration) throws -> AggregatorAnswer? {
    if isInterrupted() { throw SiteError.interrupted }
    if !waiting.isEmpty { return waiting.removeFirst() }
    return try connection.receive(timeout: timeout)
  }

  /// A message that has not come before, or nil after a while without one.
  func receiveNew(timeout: Duration) throws -> AggregatorAnswer? {
    if isInterrupted() { throw SiteError.interrupted }
    return try connection.receive(timeout: timeout)
  }

  /// Leaves a message for `next`.
  func postpone(_ answer: AggregatorAnswer) {
    waiting.append(answer)
  }

  /// Keeps the connection alive while the site is at work; what comes waits.
  private func keepAlive() throws {
    if let answer = try receiveNew(timeout: .zero) { postpone(answer) }
  }

  /// - Returns: the result, once it is durable here.
  private func handle(_ answer: AggregatorAnswer) throws -> FederationResult? {
    switch answer {
    case .sum(let message):
      guard let party else {
        throw SiteError.aggregatorLies("the aggregator masks sums that the charter says are plain")
      }
      switch try party.answer(to: message.elements) {
      case .reply(let reply): try connection.send(.sum(Tensor(reply, shape: [reply.count])))
      case .upload(let request): try contribute(request, through: party)
      case .nothing: break
      }
    case .plainRequest(let request): try contribute(request)
    case .sums(let purpose, let values): try note(values.elements, of: purpose)
    case .startWanted(let held): try sendStart(from: held)
    case .recorded(let record): try note(record)
    case .uploadUnwanted(_, _, let reason): observe(.leftOut(reason: reason))
    case .obstacle(let reason): observe(.obstacle(reason.printable(limit: 1000)))
    case .result(let result):
      observe(.result(result))
      try finish(result)
      return result
    case .welcome, .joined, .uploadHeld, .model, .awaited, .conversation: break
    }
    return nil
  }

  private func note(_ sites: AwaitedSites) throws {
    guard sites.fits(sites: work.plan.charter.sites.count) else {
      throw SiteError.aggregatorLies("the aggregator waits for sites that the charter does not have")
    }
    awaited = sites
  }

  /// Keeps what a sum over all sites came to; what is kept does not change any more.
  private func note(_ values: [Double], of purpose: SumPurpose) throws {
    guard purpose.isPooled, work.plan.purposes.contains(purpose), values.allSatisfy(\.isFinite),
      try work.pooledCount(of: purpose) == values.count
    else {
      throw SiteError.aggregatorLies("the aggregator sent sums that the charter does not have, or too few of them")
    }
    if let known = try directory.pooled(purpose) {
      guard known == values else {
        throw SiteError.aggregatorLies("the aggregator sent other sums for \(purpose) than before")
      }
      return
    }
    try directory.store(values, of: purpose)
  }

  private func note(_ record: SumRecord) throws {
    try work.check([record])
    let charter = work.plan.charter
    if charter.federation.strategy.kind.hasControlVariates, case .update(let round)? = SumPurpose(record.purpose) {
      try directory.settle(round: round, tookPart: record.survivors.contains(charter.sites[work.site].name))
    }
    try history.append(record)
    awaited = nil
    for pair in differencing.add(record) { observe(.differing(site: pair.site, purposes: pair.purposes)) }
    observe(.recorded(record))
  }

  // MARK: - Contributions

  private func contribute(_ request: SumRequest, through party: SumParty) throws {
    guard let purpose = SumPurpose(request.purpose) else {
      throw SiteError.aggregatorLies(
        "the aggregator asks for a sum that no charter has: \(request.purpose.printable(limit: 80))")
    }
    try check(purpose)
    try checkCohort(request.cohort.map { $0 - 1 }, for: purpose)
    let subject = try subject(of: purpose)
    // Before any work: a request about anything else than what this site holds is refused.
    guard subject == request.modelHash else { throw Self.otherSubject }
    var entries = try entries(for: purpose)
    let header = try party.upload(
      for: request, modelHash: subject, format: try work.format(of: purpose), masking: &entries)
    try upload(entries, header: header, sum: request.sum, attempt: request.attempt, of: purpose)
  }

  private func contribute(_ request: PlainRequest) throws {
    guard party == nil else {
      throw SiteError.aggregatorLies(
        "the aggregator asks for a sum in the clear, and the charter says that sums are masked")
    }
    if let purpose = SumPurpose(request.purpose) { try check(purpose) }
    guard let purpose = SumPurpose(request.purpose), let hash = [UInt8](hexadecimal: request.model),
      try work.format(of: purpose).digest.hexadecimal == request.format
    else {
      throw SiteError.aggregatorLies(
        "the aggregator asks for a sum that the charter does not have, or in another form")
    }
    // A request in the clear names no cohort, but this site is in it.
    try checkCohort([work.site], for: purpose)
    guard try subject(of: purpose) == hash else { throw Self.otherSubject }
    try upload(try entries(for: purpose), header: [], sum: request.sum, attempt: request.attempt, of: purpose)
  }

  /// What the charter does not sum must not be summed, such as scores under privacy.
  private func check(_ purpose: SumPurpose) throws {
    guard work.plan.has(purpose) else {
      throw SiteError.aggregatorLies("the aggregator asks for \(purpose), which the charter does not sum")
    }
  }

  /// A cohort is within the one that everybody can draw from the charter. Which of those are left out, down to the charter's minimum, an
  /// aggregator that lies can choose.
  private func checkCohort(_ cohort: [Int], for purpose: SumPurpose) throws {
    guard Set(cohort).isSubset(of: work.plan.cohort(for: purpose)) else {
      throw SiteError.aggregatorLies("the aggregator asks sites for \(purpose) that the charter does not draw for it")
    }
  }

  private static var otherSubject: SiteError {
    .aggregatorLies(
      "the aggregator asks for a sum about another model, or other pooled statistics, than it has sent to this site")
  }

  /// What this site holds that a sum is about (`FederationPlan.subject`).
  private func subject(of purpose: SumPurpose) throws -> [UInt8] {
    try work.plan.subject(of: purpose, model: try currentModel(for: purpose).hash) { try directory.pooled($0) }
  }

  private func entries(for purpose: SumPurpose) throws -> [UInt64] {
    observe(.began(purpose))
    awaited = nil
    if let made, made.purpose == purpose { return made.entries }
    let vector = try currentModel(for: purpose).vector
    let entries = try work.entries(for: purpose, model: vector) { done, total in
      observe(.advanced(done: done, total: total))
      try keepAlive()
    }
    for remark in try work.remarks() { observe(remark) }
    made = (purpose, entries)
    return entries
  }

  /// The model that a sum is about, fetched where it is not here.
  ///
  /// - Throws: `SiteError.otherStart` for a starting model that this site would not have drawn; `.aggregatorLies` for a later one that is not
  ///   the one which the last round's record names.
  private func currentModel(for purpose: SumPurpose) throws -> (hash: [UInt8], vector: [Float]) {
    guard let rounds = purpose.model else { return (FederationPlan.noModel, []) }
    if let model, model.rounds == rounds { return (model.hash, model.vector) }
    if rounds > 0 { try checkStart() }
    let vector = try fetch(rounds: rounds)
    let hash = ModelHash.of(vector)
    if rounds == 0 {
      try checkStart(vector)
    } else {
      let last = history.records.last { !$0.model.isEmpty }
      guard last?.purpose == "\(SumPurpose.update(round: rounds - 1))", last?.model == hash.hexadecimal else {
        throw SiteError.aggregatorLies("the aggregator sent another model than the one that its last record names")
      }
    }
    model = (rounds, hash, vector)
    return (hash, vector)
  }

  /// - Parameter vector: nil where it is not here; who comes late, or comes back, fetches it for this alone.
  private func checkStart(_ vector: [Float]? = nil) throws {
    guard !hasSeenStart else { return }
    guard try work.isStart(try vector ?? fetch(rounds: 0)) else { throw SiteError.otherStart }
    hasSeenStart = true
  }

  // MARK: - Result

  private func finish(_ result: FederationResult) throws {
    try checkStart()
    let vector = try fetch(rounds: result.rounds)
    let record = history.records.last { $0.purpose == "\(SumPurpose.update(round: result.rounds - 1))" }
    guard result.rounds == 0 || record?.model == result.model else {
      throw SiteError.aggregatorLies("the aggregator names another model as the result than its records do")
    }
    guard ModelHash.of(vector).hexadecimal == result.model else {
      throw SiteError.aggregatorLies(
        "the model that the aggregator hands out is not the one that it says is the result")
    }
    try work.write(vector, to: directory)
    try connection.send(.fetched)
    _ = try connection.waitFor { $0 == .conversation(.finished) ? true : nil }
  }
}
