import AggregatorRole
import Cryptography
import Federation
import Foundation
import Foundations
import OwnerRole
import Protocol
import SecureSums
import Service
import Synchronization
import TestSupport
import Testing

@testable import SiteRole

/// A site that is asked for the starting model, and sends it when another one is asked already: with real sessions, which wait for each answer.
@Suite(.waiting, .timeLimit(.minutes(2))) struct StartingSiteTests {
  /// A site that takes its time to draw the starting model; one of the version before says nothing of its group key.
  private final class SlowSite: SiteContribution {
    private let work: SiteWork
    private let isOfVersionBefore: Bool
    private let mayStart: () -> Void

    init(_ work: SiteWork, isOfVersionBefore: Bool, mayStart: @escaping () -> Void) {
      self.work = work
      self.isOfVersionBefore = isOfVersionBefore
      self.mayStart = mayStart
    }

    var plan: FederationPlan { work.plan }
    var site: Int { work.site }
    var modelEntries: Int { work.modelEntries }

    var introduction: SiteIntroduction {
      var introduction = work.introduction
      if isOfVersionBefore { introduction.groupCheck = nil }
      return introduction
    }

    func start() throws -> [Float] {
      mayStart()
      return try work.start()
    }

    func check(_ records: [SumRecord]) throws { try work.check(records) }
    func begin() throws { try work.begin() }
    func writePlan(progress: (Int, Int) throws -> Void) throws { try work.writePlan(progress: progress) }
    func isStart(_ vector: [Float]) throws -> Bool { try work.isStart(vector) }
    func format(of purpose: SumPurpose) throws -> VectorFormat { try work.format(of: purpose) }
    func pooledCount(of purpose: SumPurpose) throws -> Int { try work.pooledCount(of: purpose) }
    func remarks() throws -> [SiteEvent] { try work.remarks() }
    func write(_ vector: [Float], to directory: SiteDirectory) throws { try work.write(vector, to: directory) }
    func entries(
      for purpose: SumPurpose, model: [Float], progress: (Int, Int) throws -> Void
    ) throws -> [UInt64] {
      try work.entries(for: purpose, model: model, progress: progress)
    }
  }

  @Test func `A site of the version before that draws the model while newer ones come is no obstacle`() throws {
    // More numbers than a piece has.
    let federation = try SmallFederation(rounds: 1, local: "{updates: 1}", aggregation: "plain", hidden: "[14000]")
    let network = InProcessNetwork()
    let joined = Mutex<Set<String>>([])
    let stop = StopSwitch()
    let ended = MonotonicLatch()
    let key = try federation.aggregatorKeys.withSecretBytes { try KeyAgreement(secret: $0) }
    var service = ServiceConfiguration(store: federation.directory.url("store"))
    service.tickInterval = .milliseconds(50)
    let configuration = AggregatorConfiguration(
      service: service, plan: federation.plan, key: key, software: "test aggregator")
    let endpoint = network.makeServerEndpoint()
    Thread { [service] in
      try? JobService(
        AggregatorHandler(configuration), endpoint: endpoint, configuration: service, stop: stop,
        observe: { event in
          if case .role(.siteJoined(let name)) = event { _ = joined.withLock { $0.insert(name) } }
        }
      ).run()
      ended.open()
    }.start()
    defer {
      stop.request()
      ended.wait()
    }
    // The first is asked, then the others come and one of them is asked, then the first sends a piece, which is the largest message.
    let (isAsked, isSent) = (MonotonicLatch(), MonotonicLatch())
    let earliest = OwnerKey(federation.siteKeys[0].publicKey)
    network.setFault { transit in
      let bytes = transit.message.reduce(0) { $0 + $1.count }
      if transit.direction == .toServer, transit.ownerKey == earliest,
        bytes > FederationPlan.pieceEntries * MemoryLayout<Float>.stride
      {
        isSent.open()
      }
      return [transit.message]
    }
    let outcomes = Mutex<[Int: Result<FederationResult, any Error>]>([:])
    let latches = federation.rows.indices.map { site in
      let latch = MonotonicLatch()
      let thread = Thread {
        let outcome = Result {
          let work = try federation.work(site)
          #expect(work.modelEntries > FederationPlan.pieceEntries)
          if site > 0 { _ = isAsked.wait(for: .seconds(60)) }
          let slow = SlowSite(work, isOfVersionBefore: site == 0) {
            guard site == 0 else {
              _ = isSent.wait(for: .seconds(60))
              return
            }
            isAsked.open()
            let end = ContinuousClock.now + .seconds(120)
            while joined.withLock({ $0.count < 3 }), .now < end { Thread.sleep(forTimeInterval: 0.02) }
          }
          let began = ContinuousClock.now
          let session = try SiteSession(
            work: slow, directory: federation.runDirectory(site), key: federation.siteKeys[site],
            channel: network.connect(OwnerKey(federation.siteKeys[site].publicKey)),
            options: SiteOptions(compute: federation.compute, software: "test site"),
            // A site that waits for an answer that does not come is ended.
            isInterrupted: { began.duration(to: .now) > .seconds(180) }, observe: { _ in })
          return try session.run().result
        }
        outcomes.withLock { $0[site] = outcome }
        latch.open()
      }
      thread.stackSize = 8 << 20
      thread.start()
      return latch
    }
    for latch in latches { latch.wait() }
    for site in federation.rows.indices {
      let outcome = try #require(outcomes.withLock { $0[site] })
      #expect(throws: Never.self) { try outcome.get() }
    }
    let records = try SiteHistory(federation.runDirectory(0)).records
    #expect(records.map(\.survivors) == Array(repeating: ["site0", "site1", "site2"], count: 2))
  }
}
