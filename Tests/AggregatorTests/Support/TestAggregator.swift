import AggregatorRole
import Cryptography
import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Protocol
import Synchronization

@testable import Service

/// An aggregator on a thread of its own.
final class TestAggregator: Sendable {
  private struct State {
    var events: [AggregatorEvent] = []
    var refusals: [String] = []
    var failure: (any Error)?
  }

  let store: URL
  /// What was found of a federation that is over.
  let finished: FinishedFederation?
  private let endpoint: InProcessServerEndpoint
  private let stop = StopSwitch()
  private let ended = MonotonicLatch()
  private let state = Mutex(State())

  /// - Parameter beforeDiskWork: called before each piece of its work.
  init(
    _ federation: TestFederation, store: URL, on network: InProcessNetwork, mostSumsOfSetUp: Int = 1024,
    beforeDiskWork: @escaping @Sendable () -> Void = {}
  ) throws {
    self.store = store
    endpoint = network.makeServerEndpoint()
    var service = ServiceConfiguration(store: store, ownerSilence: .seconds(1.5))
    service.tickInterval = .milliseconds(20)
    service.beforeDiskWork = beforeDiskWork
    service.eventLog = try EventLog(store: store, program: AggregatorHandler.program)
    service.owners = ServedOwners(AuthorizedKeys(Set(federation.siteKeys.map(\.ownerKey))))
    let key = try federation.aggregatorKeys.withSecretBytes { try KeyAgreement(secret: $0) }
    let finished = service
    var configuration = AggregatorConfiguration(
      service: finished, plan: federation.plan, key: key, software: "aggregator test")
    configuration.mostSumsOfSetUp = mostSumsOfSetUp
    // Opened here, so that what is wrong with the store is thrown to the test.
    nonisolated(unsafe) let handler = try AggregatorHandler(configuration)
    self.finished = handler.finished
    Thread { [self] in
      do {
        try JobService(handler, endpoint: endpoint, configuration: finished, stop: stop) { [self] event in
          state.withLock { state in
            switch event {
            case .role(let event): state.events.append(event)
            case .refused(_, _, let reason): state.refusals.append(reason)
            default: break
            }
          }
        }.run()
      } catch {
        state.withLock { $0.failure = error }
      }
      ended.open()
    }.start()
  }

  var events: [AggregatorEvent] { state.withLock(\.events) }

  var refusals: [String] { state.withLock(\.refusals) }

  /// Why it ended, other than of itself.
  var failure: (any Error)? { state.withLock(\.failure) }

  /// That the last sum's result was fetched by all, and it ended of itself.
  func waitForEnd(_ seconds: Double = 60) -> Bool { ended.wait(for: .seconds(seconds)) }

  /// The thread goes without a word: what it had in memory is lost, what it had on disk is not.
  func kill() {
    endpoint.close()
    ended.wait()
  }

  func shutDown() {
    stopServing()
    endpoint.close()
  }

  /// What it said last can still be heard.
  func stopServing() {
    stop.request()
    ended.wait()
  }
}

/// What a federation left in its store.
struct StoreContent {
  let folder: URL
  let records: [SumRecord]

  init(_ store: URL, _ federation: TestFederation) throws {
    folder = store.appending(path: "jobs/\(federation.plan.job)")
    records = try LineLog.lines(of: folder.appending(path: "rounds.jsonl").path).map {
      try JSONDecoder().decode(SumRecord.self, from: Data($0.utf8))
    }
  }

  func model(_ rounds: Int) throws -> [Float] {
    let bytes = try Data(contentsOf: folder.appending(path: "model-\(rounds).f32"))
    return bytes.withUnsafeBytes { raw in
      (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
    }
  }

  /// Of each round, the places of the sites whose updates are in it.
  func survivors(_ federation: TestFederation) -> [[Int]] {
    records.filter { $0.purpose.hasPrefix("update") }.map { record in
      record.survivors.compactMap { federation.plan.charter.index(ofSite: $0) }
    }
  }
}
