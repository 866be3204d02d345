import AggregatorRole
import Cryptography
import Federation
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import Service
import Synchronization
import TestSupport
import Testing

@testable import SiteRole

/// Whole federations some of whose sites train at a provider: the model and the sums of one whose sites all train themselves.
@Suite(.waiting) struct ProvidedFederationTests {
  /// What a federation ended with.
  private struct Ended {
    let weights: [[Float]]
    let records: [SumRecord]
  }

  /// Runs a federation to its end, each site on a thread.
  ///
  /// - Parameters:
  ///   - masking: of the sites that train at `host`, by their number.
  ///   - secrets: of each site's noise and batches; nil for new ones.
  ///   - observe: told of each site's events, on the site's thread.
  private func run(
    _ federation: SmallFederation, _ name: String, at host: ProviderHost<Float>? = nil, masking: [Int: String] = [:],
    ownerSilence: Duration = .seconds(8), secrets: [PrivacySecret]? = nil,
    observe: @escaping @Sendable (Int, SiteEvent) -> Void = { _, _ in }
  ) throws -> Ended {
    let network = InProcessNetwork()
    let stop = StopSwitch()
    let agreement = try federation.aggregatorKeys.withSecretBytes { try KeyAgreement(secret: $0) }
    var configuration = ServiceConfiguration(
      store: federation.directory.url("store-\(name)"), ownerSilence: ownerSilence)
    configuration.tickInterval = .milliseconds(50)
    let handler = AggregatorConfiguration(
      service: configuration, plan: federation.plan, key: agreement, software: "test aggregator")
    let ended = MonotonicLatch()
    let endpoint = network.makeServerEndpoint()
    Thread { [configuration] in
      let service = try? JobService(
        AggregatorHandler(handler), endpoint: endpoint, configuration: configuration, stop: stop, observe: { _ in })
      try? service?.run()
      ended.open()
    }.start()
    let isOver = Flag()
    let results = try federation.onThreads(raising: isOver) { site in
      let provider = masking[site].flatMap { _ in host?.provider(of: federation, site) }
      let work = try federation.work(
        site, secret: secrets?[site], run: name, provider: provider, masking: masking[site])
      let session = try SiteSession(
        work: work, directory: federation.runDirectory(site, run: name), key: federation.siteKeys[site],
        channel: network.connect(OwnerKey(federation.siteKeys[site].publicKey)),
        options: SiteOptions(compute: Compute(threads: 1), software: "test site"),
        isInterrupted: { isOver.isRaised },
        observe: { observe(site, $0) })
      let (result, records) = try session.run()
      _ = try work.report(
        result, records: records, seconds: 0, to: federation.runDirectory(site, run: name)
      ) { _, _ in }
      return records
    }
    stop.request()
    ended.wait()
    let records = try results.map { try $0.get() }
    return Ended(
      weights: try federation.rows.indices.map { try weights(federation, site: $0, run: name) }, records: records[0])
  }

  private func weights(_ federation: SmallFederation, site: Int, run: String) throws -> [Float] {
    let shape = try federation.data(site).prepared.shape
    let stored = try ModelDirectory(federation.runDirectory(site, run: run).run.model).weights(shape)
    let tensor: Tensor<Float> = try stored.tensor(shape.structure.parameters[0])
    return Array(tensor.elements[..<4])
  }

  /// Steps of five products on numbers of order 1 in single precision, masked and unmasked, and the sums' fixed point: as in the tests of
  /// federations against descent on all rows.
  private static let tolerance: Float = 1e-6

  @Test(arguments: ["rotation", "permutation"], [[1], [0, 1, 2]])
  func `Sites at a provider and sites that train themselves end with one model`(masking: String, provided: [Int]) throws
  {
    let federation = try SmallFederation(rounds: 3, standardize: "pooled")
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let own = try run(federation, "own")
    let found = try run(
      federation, "provided", at: host, masking: Dictionary(uniqueKeysWithValues: provided.map { ($0, masking) }))
    let largest = own.weights[0].map { abs($0) }.max() ?? 1
    for weights in found.weights {
      #expect(weights == found.weights[0])
      for (a, b) in zip(weights, own.weights[0]) { #expect(abs(a - b) <= Self.tolerance * largest) }
    }
    #expect(found.records.map(\.purpose) == own.records.map(\.purpose))
    for (a, b) in zip(found.records, own.records) {
      #expect(a.survivors == b.survivors && a.trainingRows == b.trainingRows && a.weight == b.weight)
      #expect(a.means.keys == b.means.keys)
      for (name, value) in b.means { #expect(abs((a.means[name] ?? .nan) - value) <= 1e-5 * max(1, abs(value))) }
    }
    #expect(host.jobs.isEmpty)
  }

  @Test func `Without masks a site at a provider makes the same bits as by itself`() throws {
    let federation = try SmallFederation(rounds: 3, strength: "none")
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let own = try run(federation, "own")
    let found = try run(federation, "provided", at: host, masking: [0: "none", 2: "none"])
    #expect(found.weights == own.weights)
    #expect(found.records.map(\.model) == own.records.map(\.model))
  }

  /// In single precision; `ProviderRuleTests` has the same in double. A product with a rotation of width 4 rounds by at most 4 · 2⁻²⁴ = 2.4e-7 of the
  /// largest number. Four rounds mask and unmask the model, and mask what is pulled to or added: 12 such products. Twelve steps have four each, of
  /// gradients of order 1, of which the rate 0.05 enters, and round the weights once: 12 · (4 · 2.4e-7 · 0.05 + 6e-8). In all 4.2e-6.
  @Test(arguments: [
    ("{name: fedprox, mu: 0.5, weighting: rows}", nil), ("{name: scaffold, weighting: rows}", nil),
    ("{name: fedavg, weighting: rows}", "{warmup: 0.3, decay: cosine}"),
    ("{name: fedprox, mu: 0.5, weighting: equal}", "{decay: linear}"),
  ])
  func `Every rule of local steps ends with one model, at a provider and not`(strategy: String, schedule: String?)
    throws
  {
    let federation = try SmallFederation(rounds: 4, strategy: strategy, schedule: schedule)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let own = try run(federation, "own")
    let found = try run(federation, "provided", at: host, masking: [0: "rotation", 1: "permutation"])
    let largest = own.weights[0].map { abs($0) }.max() ?? 1
    for weights in found.weights {
      #expect(weights == found.weights[0])
      for (a, b) in zip(weights, own.weights[0]) { #expect(abs(a - b) <= 4.2e-6 * largest) }
    }
    #expect(found.records.map(\.purpose) == own.records.map(\.purpose))
    #expect(host.jobs.isEmpty)
    // From the same start, in the same order of rows, and without the rule.
    let bare = try federation.changed("bare-") { text in
      text.replacing(strategy, with: "{name: fedavg, weighting: \(strategy.contains("equal") ? "equal" : "rows")}")
        .replacing(schedule.map { "schedule: \($0)\n" } ?? "\n\n", with: "")
    }
    let without = try run(bare, "bare").weights[0]
    #expect(zip(without, own.weights[0]).contains { abs($0 - $1) > 1e-4 * largest })
  }

  @Test(arguments: [
    ("{name: fedprox, mu: 0.5, weighting: rows}", nil), ("{name: scaffold, weighting: rows}", nil),
    ("{name: fedavg, weighting: rows}", "{warmup: 0.3, decay: cosine}"),
  ])
  func `Without masks every rule makes the same bits at a provider`(strategy: String, schedule: String?) throws {
    let federation = try SmallFederation(rounds: 3, strategy: strategy, strength: "none", schedule: schedule)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let own = try run(federation, "own")
    let found = try run(federation, "provided", at: host, masking: [0: "none", 2: "none"])
    #expect(found.weights == own.weights)
    #expect(found.records.map(\.model) == own.records.map(\.model))
  }

  private static let secrets = (0..<3).map { PrivacyFixture.secret($0) }

  /// The noise of a round is drawn for the hash of its model, so that only a first round of one model has one noise.
  @Test func `Noise of sites is the site's own, added after the provider's work`() throws {
    let federation = try PrivacyFixture.federation(unit: "site", rounds: 1, strength: "rotation")
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let own = try run(federation, "own", secrets: Self.secrets)
    let found = try run(
      federation, "provided", at: host, masking: [0: "rotation", 1: "permutation", 2: "rotation"], secrets: Self.secrets
    )
    let largest = own.weights[0].map { abs($0) }.max() ?? 1
    for weights in found.weights {
      #expect(weights == found.weights[0])
      for (a, b) in zip(weights, own.weights[0]) { #expect(abs(a - b) <= 1e-5 * largest) }
    }
    #expect(host.jobs.isEmpty)
  }

  @Test func `Without masks noise of sites is the same bits over several rounds`() throws {
    let federation = try PrivacyFixture.federation(unit: "site", rounds: 3)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let own = try run(federation, "own", secrets: Self.secrets)
    let found = try run(federation, "provided", at: host, masking: [1: "none"], secrets: Self.secrets)
    #expect(found.weights == own.weights)
  }

  /// `ProviderRuleTests` has the numbers.
  @Test
  func `A federation under privacy of records spends as much with a site at a provider, and says what that takes`()
    throws
  {
    let federation = try PrivacyFixture.federation(
      unit: "record", privacy: "clip_norm: 0.4, epsilon: 4, delta: 1.0e-2", strength: "rotation", batch: 2)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let own = try run(federation, "own", secrets: Self.secrets)
    let found = try run(federation, "provided", at: host, masking: [0: "rotation"], secrets: Self.secrets)
    #expect(found.records.count == own.records.count && found.weights[0] == found.weights[2])
    #expect(found.weights[0] != own.weights[0])
    func report(_ name: String) throws -> PrivacyReport {
      let file = federation.runDirectory(0, run: name).privacyReport
      return try JSONDecoder().decode(PrivacyReport.self, from: Data(contentsOf: file))
    }
    let (alone, provided) = (try report("own"), try report("provided"))
    #expect(provided.epsilon == alone.epsilon && provided.steps == alone.steps && provided.steps == 6)
    #expect(provided.covers.contains("provider (trainer:) adds the noise"))
    #expect(provided.doesNotCover.contains("provider (trainer:), which sees masked rows"))
    #expect(!alone.covers.contains("provider") && !alone.doesNotCover.contains("provider"))
    #expect(host.jobs.isEmpty)
  }

  @Test func `A site compares with a model of its own rows at the provider too`() throws {
    let federation = try SmallFederation(rounds: 2)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let provider = host.provider(of: federation, 1)
    let here = try federation.work(1, run: "here").localTraining()
    let there = try federation.work(1, run: "there", provider: provider, masking: "rotation").localTraining()
    var (own, found) = (
      try federation.work(1, run: "start").ownStart(), try federation.work(1, run: "begin").ownStart()
    )
    for round in 0..<2 {
      own = try here.train(round: round, from: own, correction: nil, noise: nil, progress: { _, _ in }).weights
      found = try there.train(round: round, from: found, correction: nil, noise: nil, progress: { _, _ in }).weights
    }
    for (a, b) in zip(own[0].elements, found[0].elements) { #expect(abs(a - b) <= Self.tolerance) }
  }

  @Test func `A site whose provider is away is left out, and is back when the provider is`() throws {
    // Three sites bear no drop-out.
    let federation = try SmallFederation(
      rows: [17, 40, 9, 23], rounds: 6, participation: "{minimum: 2, patience: 2}")
    let host = ProviderHost<Float>(try TemporaryDirectory(), isStarted: false)
    defer { host.shutDown() }
    let connections = Mutex(0)
    let hasStarted = Flag()
    let found = try run(
      federation, "away", at: host, masking: [0: "rotation"], ownerSilence: .seconds(1)
    ) { site, event in
      switch (site, event) {
      case (0, .connected): connections.withLock { $0 += 1 }
      case (1, .recorded(let record)) where record.purpose == "update 0":
        hasStarted.raise()
        host.start()
        // The others would be done before it is back.
        let deadline = ContinuousClock.now + .seconds(120)
        while connections.withLock({ $0 }) < 2, ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.01) }
      default: break
      }
    }
    #expect(hasStarted.isRaised)
    let updates = found.records.filter { $0.purpose.hasPrefix("update") }
    #expect(updates.first?.survivors == ["site1", "site2", "site3"])
    #expect(updates.last?.survivors == ["site0", "site1", "site2", "site3"])
    for weights in found.weights { #expect(weights == found.weights[0]) }
    #expect(host.jobs.isEmpty)
  }

  @Test func `A provider that is away at the end does not keep the model from its site`() throws {
    let federation = try SmallFederation()
    let host = ProviderHost<Float>(try TemporaryDirectory())
    let warnings = Mutex<[String]>([])
    let provider = host.provider(of: federation, 1, patience: .seconds(1)) { event in
      if case .warning(let text) = event { warnings.withLock { $0.append(text) } }
    }
    let work = try federation.work(1, provider: provider, masking: "rotation")
    let directory = federation.runDirectory(1)
    let vector = try work.start()
    try work.write(vector, to: directory)
    host.shutDown()
    let result = FederationResult(
      rounds: 0, model: ModelHash.of(vector).hexadecimal, reason: "all rounds are done")
    let report = try work.report(result, records: [], seconds: 0, to: directory) { _, _ in }
    #expect(report.federated.isEmpty && report.ownRows == 0)
    #expect(FileManager.default.fileExists(atPath: directory.run.summary.path))
    let said = warnings.withLock { $0 }
    #expect(said.count == 1 && said[0].contains("The model is complete"))
  }
}
