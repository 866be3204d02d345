import AggregatorRole
import Cryptography
import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import Service
import SiteRole
import Synchronization

/// An aggregator and all sites of a charter, each on a thread of its own, over a channel in memory.
struct LocalFederation {
  /// How a site ended.
  struct Outcome: Sendable {
    let records: [SumRecord]
    let report: SiteReport
    let scores: [OwnScore]
    let privacy: PrivacyReport?
  }

  private let plan: FederationPlan
  /// In the charter's order.
  private let sites: [SiteSpecification]
  private let siteKeys: [CurveKeyPair]
  private let aggregatorKey: CurveKeyPair
  private let root: URL
  private let threads: Int?
  private let software: String
  /// Whose sites' privacy secrets are used again; nil for new ones.
  private let secretsOf: URL?

  /// - Throws: `SiteError.unsupported` when a site of the charter has no file, or two.
  init(
    _ loaded: Charter.Loaded, sites: [SiteSpecification], root: URL, threads: Int?, software: String,
    secretsOf: URL? = nil
  ) throws {
    self.sites = try loaded.charter.sites.map { site in
      let own = sites.filter { $0.name == site.name }
      guard own.count == 1, let first = own.first else {
        throw SiteError.unsupported(
          own.isEmpty
            ? "the site \(site.name) of the charter has no file here" : "the site \(site.name) has several files here")
      }
      return first
    }
    siteKeys = try loaded.charter.sites.map { _ in try CurveKeyPair.generate() }
    aggregatorKey = try CurveKeyPair.generate()
    plan = try FederationPlan(
      loaded, siteKeys: siteKeys.map(\.publicKey), aggregatorKey: aggregatorKey.publicKey)
    self.root = root
    self.threads = threads
    self.software = software
    self.secretsOf = secretsOf
  }

  func directory(of site: String) -> SiteDirectory {
    SiteDirectory(root: root.appending(path: site))
  }

  /// Runs until every site has the model.
  ///
  /// - Returns: how it ended at the charter's first site.
  /// - Throws: what the first site that failed threw, or the aggregator.
  func run(group: GroupKey, isInterrupted: @escaping @Sendable () -> Bool) throws -> Outcome {
    let group = plan.charter.federation.masking.strength == .none ? nil : group
    let network = InProcessNetwork()
    let stop = StopSwitch()
    let failure = Mutex<(any Error)?>(nil)
    let isOver: @Sendable () -> Bool = { isInterrupted() || failure.withLock { $0 != nil } }
    let aggregator = Worker("aggregator") { try serve(network.makeServerEndpoint(), stop: stop) }
    aggregator.onFailure { error in failure.withLock { $0 = $0 ?? error } }
    let workers = sites.indices.map { site in
      let worker = Worker(sites[site].name) {
        try join(site, network, group, isInterrupted: isOver)
      }
      let name = sites[site].name
      worker.onFailure { error in failure.withLock { $0 = $0 ?? SiteFailure.of(name, error) } }
      return worker
    }
    aggregator.start()
    for worker in workers { worker.start() }
    let outcomes = workers.map { $0.wait() }
    stop.request()
    _ = aggregator.wait()
    if let error = failure.withLock({ $0 }) { throw error }
    guard case .success(let outcome)? = outcomes.first else { throw SiteError.interrupted }
    return outcome
  }

  private func serve(_ endpoint: any ServerEndpoint, stop: StopSwitch) throws {
    let agreement = try aggregatorKey.withSecretBytes { try KeyAgreement(secret: $0) }
    let store = root.appending(path: "aggregator")
    let service = ServiceConfiguration(store: store)
    try JobService(
      AggregatorHandler(
        AggregatorConfiguration(service: service, plan: plan, key: agreement, software: software)),
      endpoint: endpoint, configuration: service, stop: stop, observe: { _ in }
    ).run()
  }

  private func join(
    _ site: Int, _ network: InProcessNetwork, _ group: GroupKey?, isInterrupted: @escaping () -> Bool
  ) throws -> Outcome {
    let clock = ContinuousClock()
    let start = clock.now
    let specification = sites[site]
    let directory = directory(of: specification.name)
    try directory.open(plan, site: site, resuming: false)
    let compute = Compute(threads: specification.threads ?? threads ?? 1)
    let data = try PreparedSite(specification, plan: plan)
    try AtomicFile.write(Data(data.prepared.job.yaml().utf8), to: directory.run.resolvedJob.path)
    let repeated = secretsOf.map { SiteDirectory(root: $0.appending(path: specification.name)) }
    try repeated?.checkRepeatable(under: plan)
    let secret = try repeated.map { try PrivacySecretFile(path: $0.privacySecret.path).read() }
    let work = try SiteWork(
      plan: plan, site: site, data: data, group: group, directory: directory, compute: compute, secret: secret,
      repeating: repeated)
    let progress = SiteProgress(plan, site: specification.name)
    let session = try SiteSession(
      work: work, directory: directory, key: siteKeys[site],
      channel: network.connect(OwnerKey(siteKeys[site].publicKey)),
      options: SiteOptions(compute: compute, software: software), isInterrupted: isInterrupted,
      // One site's lines tell of all.
      observe: { event in
        if site == 0 { progress.show(event) }
      })
    let (result, records) = try session.run()
    let report = try work.report(
      result, records: records, seconds: start.duration(to: clock.now) / .seconds(1), to: directory
    ) { _, _ in }
    return Outcome(
      records: records, report: report, scores: work.ownScoreList, privacy: try work.privacyReport())
  }
}

/// What went wrong at one of several sites.
struct SiteFailure: Failure {
  let site: String
  let failure: any Failure

  var kind: FailureKind { failure.kind }
  var description: String { "the site \(site): \(failure.description)" }

  /// What no person can act on, and an interruption of all sites, stay as they are.
  static func of(_ site: String, _ error: any Error) -> any Error {
    guard let failure = error as? any Failure, failure as? SiteError != .interrupted else { return error }
    return SiteFailure(site: site, failure: failure)
  }
}

/// A thread that gives a value or fails.
private final class Worker<Value: Sendable>: Sendable {
  private struct State {
    var result: Result<Value, any Error>?
    var failed: @Sendable (any Error) -> Void = { _ in }
  }

  private let name: String
  private let body: @Sendable () throws -> Value
  private let state = Mutex(State())
  private let ended = MonotonicLatch()

  init(_ name: String, _ body: @escaping @Sendable () throws -> Value) {
    self.name = name
    self.body = body
  }

  /// Called on the worker's thread.
  func onFailure(_ failed: @escaping @Sendable (any Error) -> Void) {
    state.withLock { $0.failed = failed }
  }

  func start() {
    let thread = Thread { [self] in
      let result = Result { try body() }
      if case .failure(let error) = result { state.withLock(\.failed)(error) }
      state.withLock { $0.result = result }
      ended.open()
    }
    thread.name = name
    // Recursion through the layers of a model needs more than a thread's default.
    thread.stackSize = 8 << 20
    thread.start()
  }

  func wait() -> Result<Value, any Error>? {
    while !ended.wait(for: .seconds(60)) {}
    return state.withLock(\.result)
  }
}
