import Cryptography
import Federation
import Files
import Foundation
import Foundations
import Numerics
import JobSpec
import SecureSums
import Service

/// A federation at the aggregator: what is asked of the sites and in which order, and what their answers lead to. Knows no connections and
/// no clock: it is told which sites are there and what time it is, and hands back what is to be said to whom.
///
/// All files are its own, and it works on them in the call; used by one thread at a time. Every step is durable before anybody hears of it, and
/// can be repeated: a process that is killed at any moment and started again goes on with the same bits.
final class FederationRun {
  /// What is to be done for it.
  enum Effect {
    case send(AggregatorAnswer, to: Int)
    /// The site's `fetched` is noted.
    case acknowledge(Int)
    /// The site's part ends, and why.
    case refuse(Int, AggregatorError)
    /// What the site asked for last could not be done here: it is to greet and ask again.
    case startOver(Int)
    case event(AggregatorEvent)
  }

  /// Whether a site is connected and has introduced itself, and since when it is or is not.
  struct Presence {
    var isHere = false
    var since: ContinuousClock.Instant
  }

  let plan: FederationPlan
  let files: FederationFiles
  let models: StoredModels
  let sums: any Summation
  let log: LineLog
  var agenda: Agenda
  var effects: [Effect] = []
  /// By the sites' places.
  private(set) var presence: [Presence]
  private(set) var now: ContinuousClock.Instant

  /// The site that is asked for the starting model, and when it was asked or sent the last piece.
  var starter: Int?
  var starterHeard: ContinuousClock.Instant
  /// Entries of it that were written to `start.f32`, and XXH64 of them.
  var startHeld = 0
  var startHash = ContentHash()
  /// When the sum under way was begun, or taken up by this process.
  var sumBegan: ContinuousClock.Instant
  /// Sites that came since keys were last set up.
  var newcomers: Set<Int> = []
  /// Uploads that were not what their headers say, and were asked for once more.
  var askedAgain: Set<Int> = []
  /// Why nothing can be begun, and which sites it is for.
  var obstacle: String?
  var missing: [Int] = []
  /// Whether each site takes word of whom is waited for, and what it was told last of that.
  var hearers: [Int: Bool] = [:]
  var toldAwaited: [Int: AwaitedSites] = [:]
  var lastAwaitedNotice: ContinuousClock.Instant?
  /// What was said last of the present stage, and since when it lasts.
  private var toldProgress = ""
  private(set) var stageSince: ContinuousClock.Instant
  /// Sites that may be due something else than before, and those that have lost what they were told.
  var tellAgain: Set<Int> = []
  /// SHA-256 of what each site was told last on its connection.
  var told: [Int: [UInt8]] = [:]
  private var lastNotice: ContinuousClock.Instant?
  /// Sites whose requests it has cost.
  private var troubled: Set<Int> = []
  private var trouble: (reason: String, retry: ContinuousClock.Instant, said: ContinuousClock.Instant)?
  private var shown: FederationStatus?
  /// Damage of the store that was found while it was used: nothing can go on.
  private(set) var failure: AggregatorError?

  /// Of one set-up of keys.
  let mostSums: Int

  private static let noticeInterval = Duration.seconds(60)
  private static let retryInterval = Duration.seconds(5)

  /// Takes up the federation in `folder`, or begins it.
  ///
  /// - Parameters:
  ///   - folder: exists.
  ///   - key: the aggregator's.
  ///   - mostSums: that keys are set up for at a time.
  /// - Throws: `FileError`; `AggregatorError.damaged`; `SumError`.
  init(
    _ plan: FederationPlan, folder: URL, key: KeyAgreement, mostSums: Int, at now: ContinuousClock.Instant
  ) throws {
    self.plan = plan
    self.mostSums = mostSums
    files = FederationFiles(folder: folder)
    models = StoredModels(files)
    log = try LineLog(path: files.rounds)
    agenda = try StoreCheck(plan: plan, files: files, models: models).run(files.readAgenda(of: plan), log: log)
    let last = try files.recordLines().prefix(agenda.done).last.flatMap(SumRecord.init(line:))
    // A record whose sum was not finished is written again.
    if log.lineCount > agenda.done { try log.truncate(toLines: agenda.done) }
    let charter = plan.charter
    try Self.checkSumsAreThere(plan, files, agenda)
    if let roster = plan.roster {
      sums = try MaskedSums(path: files.maskedSums, roster: roster, key: key)
    } else {
      sums = try PlainSums(
        path: files.plainSums, sites: charter.sites.count, minimum: charter.federation.participation.minimum
      ) { sites in sites.map { charter.sites[$0].name }.joined(separator: ", ") }
    }
    presence = charter.sites.map { _ in Presence(since: now) }
    (self.now, stageSince, sumBegan, starterHeard) = (now, now, now, now)
    try checkSums(after: last)
    try removeLeftovers()
  }

  /// The state of masked sums is written before the first agenda, that of plain ones before the first sum is done: new ones in their place would
  /// use numbers again that the sites have answered.
  private static func checkSumsAreThere(_ plan: FederationPlan, _ files: FederationFiles, _ agenda: Agenda) throws {
    let isMasked = plan.roster != nil
    guard isMasked ? RegularFile.exists(files.agenda) : agenda.done > 0 else { return }
    let path = isMasked ? files.maskedSums : files.plainSums
    guard RegularFile.exists(path) else { throw AggregatorError.damaged(path: path, "is not there any more") }
  }

  /// That the sums' own state is of the same moment as the agenda: of two copies of different age neither is to be gone on with.
  private func checkSums(after last: SumRecord?) throws {
    let path = plan.roster == nil ? files.plainSums : files.maskedSums
    let before = last?.sum ?? 0
    if sums.nextSum <= before, sums.current?.sum != before {
      throw AggregatorError.damaged(
        path: path, "has not come to sum \(before), which \(files.rounds) has: it is an older copy")
    }
    guard let next = agenda.nextPurpose(of: plan) else { return }
    let isAhead =
      if plan.roster == nil {
        // Plain sums have numbers without gaps.
        sums.current.map { $0.sum > before + 1 } ?? (sums.nextSum > before + 1)
      } else {
        sums.isOpened(next) && sums.current?.purpose != next.description
      }
    if isAhead {
      throw AggregatorError.damaged(
        path: files.agenda, "has not come to \(next), which \(path) has opened: it is an older copy")
    }
  }

  /// Files of sums that are over, which a kill has kept from being removed.
  private func removeLeftovers() throws {
    try UploadSpool.removeAll(in: files, but: try currentSpool())
    // What there is of a starting model has no hash: it is asked for from the beginning.
    try Directory.remove(files.start)
    let memory = files.memory(max(0, agenda.models.count - 1))
    for name in try Directory.names(in: files.folder.path)
    where name.hasPrefix("memory-") && files.path(name) != memory {
      try Directory.remove(files.path(name))
    }
  }

  func name(_ site: Int) -> String { plan.charter.sites[site].name }

  func isHere(_ site: Int) -> Bool { presence[site].isHere }

  var sitesHere: [Int] { presence.indices.filter { presence[$0].isHere } }

  /// Whether a site has been away for longer than the charter's patience.
  func isGone(_ site: Int) -> Bool {
    !presence[site].isHere && presence[site].since.duration(to: now) >= patience
  }

  var patience: Duration { .seconds(plan.charter.federation.participation.patience) }

  /// Whether every site holds the result.
  var isDone: Bool { agenda.result != nil && sitesWithoutResult.isEmpty }

  var sitesWithoutResult: [Int] { plan.charter.sites.indices.filter { !agenda.fetched.contains($0) } }

  // MARK: - Steps

  /// Does one thing that a site asked for, then everything that it makes possible.
  ///
  /// - Parameters:
  ///   - body: throws what the site is told as a refusal.
  ///   - site: whose request it is; nil when there is none.
  ///   - ticks: whether time has passed that is to be looked at.
  /// - Returns: what is to be done; and the refusal.
  func perform(
    _ presence: [Presence], at now: ContinuousClock.Instant, for site: Int? = nil, ticks: Bool = false,
    _ body: (FederationRun) throws -> Void = { _ in }
  ) -> (effects: [Effect], refusal: (any Error)?) {
    (self.presence, self.now) = (presence, now)
    var refusal: (any Error)?
    do {
      try body(self)
    } catch let error where Self.isOwn(error) {
      // Nothing of it was done. The site asks again in a while.
      if let site { troubled.insert(site) }
      note(error)
    } catch {
      refusal = error
    }
    if trouble.map({ now >= $0.retry }) ?? true {
      effects += troubled.sorted().map(Effect.startOver)
      troubled = []
      do {
        if ticks, trouble == nil { try tick() }
        try advance()
        trouble = nil
        tellWhatIsDue()
        if ticks { tellAwaited() }
      } catch {
        note(error)
      }
    }
    show()
    defer { effects = [] }
    return (effects, refusal)
  }

  /// Whether an error is of this machine rather than of what a site said.
  static func isOwn(_ error: any Error) -> Bool {
    if error is FileError { return true }
    if case SumError.storage? = error as? SumError { return true }
    return (error as? AggregatorError)?.isDamage == true
  }

  static func text(of error: any Error) -> String { (error as? any Failure)?.description ?? "\(error)" }

  private func note(_ error: any Error) {
    let reason = Self.text(of: error)
    switch error {
    case let error as AggregatorError where error.isDamage: failure = error
    case FileError.file(let path, let problem): failure = .damaged(path: path, problem.finding)
    default: break
    }
    let isNew = trouble?.reason != reason || trouble.map { $0.said.duration(to: now) >= Self.noticeInterval } ?? true
    if isNew { effects.append(.event(.trouble(reason))) }
    trouble = (reason, now + Self.retryInterval, isNew ? now : trouble?.said ?? now)
  }

  /// Time has passed.
  private func tick() throws {
    try proceedIfOverdue()
    guard let reason = waitingReason else {
      lastNotice = nil
      return
    }
    if let lastNotice, lastNotice.duration(to: now) < Self.noticeInterval { return }
    lastNotice = now
    effects.append(.event(.waiting(reason)))
  }

  private var waitingReason: String? {
    if agenda.result != nil {
      let missing = presence.indices.filter { !agenda.fetched.contains($0) && !isHere($0) }
      return missing.isEmpty ? nil : "waiting for \(AwaitedSites(missing).text(name)) to fetch the result"
    }
    return groupKeyConflict ?? obstacle
  }

  func names(_ sites: [Int]) -> String { sites.map(name).joined(separator: ", ") }

  /// Says what is due to every site when the stage has changed, otherwise to those alone that have come or answered; nothing twice on one
  /// connection.
  private func tellWhatIsDue() {
    let isNew = sums.progress != toldProgress
    if isNew {
      toldProgress = sums.progress
      stageSince = now
      toldAwaited = [:]
    }
    for site in sitesHere where isNew || tellAgain.contains(site) {
      guard let answer = sums.due(for: site) else { continue }
      let digest = Self.digest(of: answer)
      guard told[site] != digest else { continue }
      told[site] = digest
      effects.append(.send(answer, to: site))
    }
    tellAgain = []
  }

  private static func digest(of answer: AggregatorAnswer) -> [UInt8] {
    var hash = SHA256()
    switch answer {
    case .sum(let message): message.withUnsafeBufferPointer { hash.update(UnsafeRawBufferPointer($0)) }
    case .plainRequest(let request): hash.update(Array("\(request.sum) \(request.attempt)".utf8))
    default: break
    }
    return hash.finalize().bytes
  }

  // MARK: - Status

  /// Tells of a change of what a table of sites shows, in an event and in the store.
  private func show() {
    let stage = sums.stage
    let waitingFor = awaited
    let working = Set(stage == .uploading ? waitingFor : [])
    let time = Date().ISO8601Format()
    var sites: [FederationStatus.Site] = []
    for site in presence.indices {
      let state: FederationStatus.SiteState =
        if agenda.fetched.contains(site) {
          .done
        } else if !isHere(site) {
          .away
        } else if working.contains(site) {
          .working
        } else if stage == .uploading, sums.has(uploadOf: site) {
          .done
        } else {
          .connected
        }
      let known = shown?.sites[site]
      sites.append(.init(name: name(site), state: state, since: known?.state == state ? known?.since ?? time : time))
    }
    let status = FederationStatus(
      federation: plan.charter.name, stage: stageText, round: max(0, agenda.models.count - 1),
      rounds: plan.charter.federation.rounds, sumsDone: agenda.done, sums: agenda.purposes(of: plan).count,
      waitingFor: waitingFor.map(name),
      sites: sites, result: agenda.result?.reason)
    guard status != shown else { return }
    shown = status
    effects.append(.event(.status(status)))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    // It is for people: what a full disk keeps from being written is written with the next change.
    if let bytes = try? encoder.encode(status) { try? AtomicFile.write(bytes, to: files.sites) }
  }

  private var stageText: String {
    if isDone { return "done" }
    if agenda.result != nil { return "handing out the result" }
    if let obstacle = groupKeyConflict ?? obstacle { return obstacle }
    guard let current = sums.current else { return sums.stage == .idle ? "idle" : sums.stage.rawValue }
    return "\(current.purpose): \(sums.stage.rawValue)"
  }
}
