package import Federation
import Files
import Foundation
package import Foundations
import JobSpec
import Numerics
package import Protocol
package import Service

extension FederationJoin: JobContent {
  package func validate() throws {
    guard version == Self.currentVersion, [UInt8](hexadecimal: charter)?.count == 32 else {
      throw WireError.invalidJob("a federation of another version, or without a charter's digest")
    }
  }
}

/// The aggregator as a role of the service: one federation, whose sites are the owners.
///
/// Knows which site is at which connection. Everything else is the business of `FederationRun`, which works away from the service
/// thread: one piece of work at a time, while the federation's other messages wait.
package final class AggregatorHandler: JobHandler {
  package typealias Content = FederationJoin
  package typealias Request = SiteRequest
  package typealias Answer = AggregatorAnswer
  package typealias State = Void
  package typealias RoleEvent = AggregatorEvent
  package typealias Runner = NoRunner

  typealias AggregatorService = JobService<AggregatorHandler>

  package static var program: String { AggregatorConfiguration.program }

  let configuration: AggregatorConfiguration
  let plan: FederationPlan
  let clock = ContinuousClock()
  /// The connection of each site that has introduced itself, and since when it has one or none.
  var sites: [(peer: PeerID?, since: ContinuousClock.Instant)]
  /// The process at each site's connection, as it names itself.
  var instances: [Int: String] = [:]
  /// Second programs under a site's key, by the site, until it is seen whether the first is alive.
  var contenders: [Int: Contender] = [:]
  /// The silence after which each site's connection is tried next.
  private var probes: [Duration]
  /// Touched on the disk's thread alone, but for what `init` reads of it.
  private let holder: RunHolder
  /// Time has passed that nobody has looked at yet.
  private var isTickDue = false
  /// Every site holds the result.
  private var isDone: Bool
  /// Until when a federation that was over when it was opened is kept up: a kill can come before the last word to a site that holds the result.
  private let staysUntil: ContinuousClock.Instant
  private var isOver: Bool { isDone && clock.now >= staysUntil }
  /// Why the federation's files could not be opened last, and who asked for something meanwhile: to be told to greet and ask again.
  private var openingTrouble: String?
  private var unserved: Set<PeerID> = []
  /// Damage of the store that ends it.
  package private(set) var failure: (any Failure)?
  /// What a finished federation's store has to hand out, said once when it is opened; nil for all others.
  package private(set) var finished: FinishedFederation?

  /// - Throws: `AggregatorError.otherFederation` for a store of another charter; what reading the federation in it throws.
  package init(_ configuration: AggregatorConfiguration) throws {
    let plan = configuration.plan
    let jobs = StoreFormat.jobs(in: configuration.service.store)
    let folder = jobs.appending(path: plan.job.description)
    let names = FileManager.default.fileExists(atPath: jobs.path) ? try Directory.names(in: jobs.path) : []
    if names.contains(where: { $0 != plan.job.description }) {
      throw AggregatorError.otherFederation(store: configuration.service.store.path)
    }
    self.configuration = configuration
    self.plan = plan
    let clock = clock
    let now = clock.now
    sites = plan.charter.sites.map { _ in (nil, now) }
    probes = plan.charter.sites.map { _ in Self.firstProbe }
    let holder = RunHolder {
      try FederationRun(
        plan, folder: folder, key: configuration.key, mostSums: configuration.mostSumsOfSetUp, at: clock.now)
    }
    self.holder = holder
    isDone = false
    var stay = Duration.zero
    // What is wrong with it is better said before anybody connects.
    if RegularFile.exists(folder.appending(path: "agenda.json").path)
      || RegularFile.exists(folder.appending(path: "job.json").path)
    {
      let run = try holder.run()
      isDone = run.isDone
      finished = run.agenda.result.map { result in
        FinishedFederation(result: result, missing: run.sitesWithoutResult.map(run.name))
      }
      // As long as it takes a site to see that the process before is gone, and to come again.
      if run.isDone { stay = configuration.service.ownerSilence * 2 }
    }
    staysUntil = now + stay
  }

  package static func submission(in request: SiteRequest) -> FederationJoin? {
    if case .join(let join) = request { return join }
    return nil
  }

  package var canRunJobs: Bool { !isOver && failure == nil }

  /// A site says nothing while a step of its training lasts. That its machine is gone shows sooner, by the transport's heartbeats.
  package var ownerSilence: Duration? {
    max(configuration.service.ownerSilence, .seconds(plan.charter.federation.participation.patience))
  }

  package func listeners(of job: JobRecord<AggregatorHandler>) -> [PeerID] { connections }

  private var connections: [PeerID] { sites.compactMap(\.peer) }

  package func greeting(for owner: OwnerKey, limits: OwnerLimits) -> AggregatorAnswer {
    .welcome(AggregatorGreeting(software: configuration.software, federation: plan.charter.name))
  }

  // MARK: - Admission

  package func admit(_ content: FederationJoin, limits: OwnerLimits) throws -> Admission<Void> {
    guard content == FederationJoin(charterDigest: plan.digest) else {
      throw AggregatorError.otherCharter(name: plan.charter.name)
    }
    try content.validate()
    return Admission(state: ())
  }

  package func state(of job: StoredJob<FederationJoin>) {}

  package func admits(_ key: OwnerKey, to job: JobRecord<AggregatorHandler>) -> Bool {
    plan.index(of: key) != nil
  }

  package func checkRemoval(of job: JobRecord<AggregatorHandler>, by key: OwnerKey) throws {
    let site = plan.index(of: key).map { plan.charter.sites[$0].name } ?? "?"
    throw AggregatorError.mayNotEnd(site: site, federation: plan.charter.name)
  }

  package func submitted(
    _ id: JobID, isNew: Bool, from peer: PeerID, in service: JobService<AggregatorHandler>
  ) {
    service.send(.joined, job: id, to: peer)
  }

  // MARK: - Requests

  package func handle(
    _ request: SiteRequest, of id: JobID, from peer: PeerID, in service: JobService<AggregatorHandler>
  ) throws {
    guard let site = plan.index(of: peer.ownerKey) else { throw ServiceError.notListed(by: Self.program) }
    if case .introduce(let introduction) = request {
      return introduce(introduction, site, peer, in: service)
    }
    guard sites[site].peer == peer else { throw AggregatorError.notIntroduced }
    work(for: peer, site, in: service) { run in
      switch request {
      case .join, .introduce: break
      case .sum(let message): try run.receive(message.elements, from: site)
      case .askUpload(let sum, let attempt): try run.askUpload(sum: sum, attempt: attempt, from: site)
      case .upload(let sum, let attempt, let offset, let entries):
        try run.upload(entries, at: offset, sum: sum, attempt: attempt, from: site)
      case .finishUpload(let sum, let attempt, let header):
        try run.finishUpload(header.elements, sum: sum, attempt: attempt, from: site)
      case .fetch(let rounds, let offset): try run.fetch(rounds: rounds, offset: offset, from: site)
      case .start(let offset, let entries): try run.start(entries, at: offset, from: site)
      case .fetched: try run.fetched(by: site)
      }
    }
    if case .upload(_, _, _, let entries) = request {
      configuration.metrics.countUploaded(bytes: entries.byteCount)
    }
  }

  /// The newest connection of a process is the one that counts.
  private func introduce(
    _ introduction: SiteIntroduction, _ site: Int, _ peer: PeerID, in service: AggregatorService
  ) {
    if contends(introduction, site, peer, in: service) { return }
    if let known = sites[site].peer, known != peer, service.isConnected(known) { letGo(of: known, site, in: service) }
    seat(introduction, site, peer, in: service)
  }

  /// Takes a connection for the site's.
  func seat(_ introduction: SiteIntroduction, _ site: Int, _ peer: PeerID, in service: AggregatorService) {
    if sites[site].peer != peer { sites[site] = (peer, clock.now) }
    instances[site] = introduction.instance
    work(for: peer, site, in: service) { run in
      try run.introduce(introduction, from: site)
    } refused: { [unowned self] in
      if sites[site].peer == peer { sites[site] = (nil, clock.now) }
    }
  }

  /// Has the federation do something on the disk's thread, and then does what follows from it.
  ///
  /// - Parameters:
  ///   - peer: who asked for it; nil for the time.
  ///   - refused: called, on the service thread, before it is told why.
  private func work(
    for peer: PeerID?, _ site: Int? = nil, in service: AggregatorService,
    _ body: @escaping (FederationRun) throws -> Void = { _ in }, refused: @escaping () -> Void = {}
  ) {
    let presence = sites.map { FederationRun.Presence(isHere: $0.peer != nil, since: $0.since) }
    guard let listener = peer ?? service.jobs[plan.job]?.peer else { return }
    let ticks = isTickDue
    isTickDue = false
    service.onDisk(plan.job, for: listener) { [holder, clock] in
      let run = try holder.run()
      let (effects, refusal) = run.perform(presence, at: clock.now, for: site, ticks: ticks, body)
      return Outcome(effects: effects, refusal: refusal, isDone: run.isDone, damage: run.failure)
    } then: { [unowned self, unowned service] (result: Result<Outcome, any Error>) in
      switch result {
      case .failure(let error):
        // The federation's files cannot be read; each tick tries again.
        let reason = FederationRun.text(of: error)
        if reason != openingTrouble { service.observe(.role(.trouble(reason))) }
        openingTrouble = reason
        if let error = error as? AggregatorError, error.isDamage { failure = error }
        refused()
        if let peer { unserved.insert(peer) }
      case .success(let outcome):
        openingTrouble = nil
        for peer in unserved where service.isConnected(peer) {
          service.tell(.goodbye(step: 0), job: plan.job, to: peer)
        }
        unserved = []
        if outcome.refusal != nil { refused() }
        if case AggregatorError.otherGroupKey(let name, _, _)? = outcome.refusal as? AggregatorError {
          let reason = (outcome.refusal as? any Failure)?.description ?? ""
          service.observe(.role(.otherGroupKey(site: name, reason: reason)))
        }
        for effect in outcome.effects { carryOut(effect, in: service) }
        isDone = outcome.isDone
        failure = outcome.damage
        if let refusal = outcome.refusal, peer != nil { throw refusal }
      }
    }
  }

  /// What a piece of work came to.
  private struct Outcome {
    let effects: [FederationRun.Effect]
    let refusal: (any Error)?
    let isDone: Bool
    let damage: AggregatorError?
  }

  private func carryOut(_ effect: FederationRun.Effect, in service: AggregatorService) {
    switch effect {
    case .send(let answer, let site):
      if let peer = sites[site].peer { service.send(answer, job: plan.job, to: peer) }
    case .acknowledge(let site):
      if let peer = sites[site].peer { service.tell(.finished, job: plan.job, to: peer) }
    case .refuse(let site, let error):
      if let peer = sites[site].peer {
        sites[site] = (nil, clock.now)
        service.tell(.refused(kind: error.kind, reason: error.description), job: plan.job, to: peer)
        service.observe(.role(.otherGroupKey(site: plan.charter.sites[site].name, reason: error.description)))
      }
    case .startOver(let site):
      if let peer = sites[site].peer {
        sites[site] = (nil, clock.now)
        service.tell(.goodbye(step: 0), job: plan.job, to: peer)
      }
    case .event(let event):
      switch event {
      case .sumDone: configuration.metrics.countSum()
      case .uploadDropped: configuration.metrics.countDropped()
      case .status(let status):
        configuration.metrics.publish(rounds: status.round, sitesHere: connections.count)
      default: break
      }
      service.observe(.role(event))
    }
  }

  // MARK: - Time and loss

  package func tick(in service: JobService<AggregatorHandler>) {
    probe(in: service)
    settleContenders(in: service)
    isTickDue = true
    // While others keep it busy it looks at the time with their messages.
    if service.jobs[plan.job] != nil, !service.isBusy(plan.job) { work(for: nil, in: service) }
  }

  /// A process that is gone shows when something is sent to its connection: a site that says nothing is told now and then that this is alive. The
  /// longer it is silent the more seldom, since all of it waits unread while the site is at a long step.
  private func probe(in service: AggregatorService) {
    for site in sites.indices {
      guard let peer = sites[site].peer, let silence = service.silence(of: peer) else { continue }
      if silence < Self.firstProbe {
        probes[site] = Self.firstProbe
      } else if silence >= probes[site] {
        probes[site] = silence * 2
        service.tell(.pong, job: plan.job, to: peer)
      }
    }
  }

  /// Sites that wait say something every second.
  private static let firstProbe = Duration.seconds(2)

  package func lost(
    _ peer: PeerID, after silence: Duration, in service: JobService<AggregatorHandler>
  ) -> Bool {
    if let site = contenders.first(where: { $0.value.peer == peer })?.key {
      contenders[site] = nil
      return true
    }
    guard let site = sites.firstIndex(where: { $0.peer == peer }) else { return false }
    sites[site] = (nil, clock.now - silence)
    if !isOver { service.observe(.role(.siteAway(plan.charter.sites[site].name))) }
    return true
  }
}

/// The federation, opened when it is first needed: a new one has no folder before its first site has joined.
private final class RunHolder {
  private let open: () throws -> FederationRun
  private var opened: FederationRun?

  init(_ open: @escaping () throws -> FederationRun) {
    self.open = open
  }

  func run() throws -> FederationRun {
    if let opened { return opened }
    let run = try open()
    opened = run
    return run
  }
}
