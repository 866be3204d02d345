import AggregatorRole
import Cryptography
import Federation
import Foundation
import Foundations
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import SecureSums
import Service
import Synchronization
import TestSupport
import Testing

@testable import SiteRole

extension SmallFederation {
  /// Sites that are ended the first time they tell what `moment` names, and go on from their run directories.
  struct Interruptions: Sendable {
    var moments: [Int: @Sendable (SiteEvent) -> Bool] = [:]
  }

  /// Runs a federation to its end.
  ///
  /// - Parameters:
  ///   - groups: of sites that have another group key.
  ///   - secrets: of each site's noise and batches; nil for new ones.
  ///   - interruptions: of sites by their places.
  ///   - resuming: whether all sites go on from their run directories.
  ///   - network: that all messages go through.
  ///   - observe: what a site, by its place, tells; called on its thread.
  /// - Returns: how each site ended.
  func run(
    groups: [Int: GroupKey] = [:], secrets: [PrivacySecret]? = nil, interruptions: Interruptions = Interruptions(),
    resuming: Bool = false, network: InProcessNetwork = InProcessNetwork(),
    observe: @escaping @Sendable (Int, SiteEvent) -> Void = { _, _ in }
  ) throws -> [Result<FederationResult, any Error>] {
    let stop = StopSwitch()
    let agreement = try aggregatorKeys.withSecretBytes { try KeyAgreement(secret: $0) }
    var configuration = ServiceConfiguration(store: directory.url("\(place)store"))
    configuration.tickInterval = .milliseconds(50)
    let endpoint = network.makeServerEndpoint()
    let handler = AggregatorConfiguration(
      service: configuration, plan: plan, key: agreement, software: "test aggregator")
    let ended = MonotonicLatch()
    let server = Thread { [configuration] in
      let service = try? JobService(
        AggregatorHandler(handler), endpoint: endpoint, configuration: configuration, stop: stop, observe: { _ in })
      try? service?.run()
      ended.open()
    }
    server.start()
    let isOver = Flag()
    let results = try onThreads(raising: isOver) { site in
      try take(
        part: site, network, group: groups[site], secret: secrets?[site], moment: interruptions.moments[site],
        resuming: resuming, isOver, observe)
    }
    stop.request()
    ended.wait()
    return results
  }

  /// Each site's part on a thread of its own, with as much stack as a program has.
  ///
  /// - Parameter isOver: raised as soon as one of them fails.
  /// - Returns: how each site ended, by their places.
  func onThreads<Value: Sendable>(
    raising isOver: Flag, _ part: @escaping @Sendable (Int) throws -> Value
  ) throws -> [Result<Value, any Error>] {
    let results = Mutex<[Int: Result<Value, any Error>]>([:])
    let latches = rows.indices.map { site in
      let latch = MonotonicLatch()
      let thread = Thread {
        let result = Result { try part(site) }
        if case .failure = result { isOver.raise() }
        results.withLock { $0[site] = result }
        latch.open()
      }
      thread.stackSize = 8 << 20
      thread.start()
      return latch
    }
    for latch in latches { latch.wait() }
    return try rows.indices.map { site in try #require(results.withLock { $0[site] }) }
  }

  /// One site's part, in as many lives as it takes.
  private func take(
    part site: Int, _ network: InProcessNetwork, group: GroupKey?, secret: PrivacySecret?,
    moment: (@Sendable (SiteEvent) -> Bool)?, resuming: Bool, _ isOver: Flag,
    _ observe: @escaping @Sendable (Int, SiteEvent) -> Void
  ) throws -> FederationResult {
    var isResumed = resuming
    while true {
      let isEnded = Flag()
      let work = try work(site, group: group, secret: secret, resuming: isResumed)
      let session = try SiteSession(
        work: work, directory: runDirectory(site), key: siteKeys[site],
        channel: network.connect(OwnerKey(siteKeys[site].publicKey)),
        options: SiteOptions(compute: compute, software: "test site"),
        isInterrupted: { isOver.isRaised || isEnded.isRaised },
        observe: { event in
          observe(site, event)
          if !isResumed, moment?(event) == true { isEnded.raise() }
        })
      do {
        let (result, records) = try session.run()
        _ = try work.report(result, records: records, seconds: 0, to: runDirectory(site)) { _, _ in }
        return result
      } catch SiteError.interrupted where isEnded.isRaised && !isOver.isRaised {
        isResumed = true
      }
    }
  }

  /// The model that a site ends with: [W | b] of the first layer.
  func weights(site: Int) throws -> [Double] {
    let shape = try data(site).prepared.shape
    let stored = try ModelDirectory(runDirectory(site).run.model).weights(shape)
    let tensor: Tensor<Double> = try stored.tensor(shape.structure.parameters[0])
    return Array(tensor.elements[..<(Self.columns.count + 1)])
  }
}
