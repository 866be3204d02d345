import Collectives
import Dispatch
import Foundation
import Numerics
import Service
import TrainerRole
import Protocol

/// A trainer on a thread of its own, and each of its other ranks on another.
final class TrainerHost<Element: FloatingElement>: Sendable {
  let store: URL
  let events = EventRecorder()
  private let endpoint: InProcessServerEndpoint
  private let stop = StopSwitch()
  private let ended = DispatchSemaphore(value: 0)
  private let communicators: [any Communicator]
  private let otherRanks = DispatchGroup()

  init(
    on network: InProcessNetwork, store: URL, threads: Int = 1, memoryLimit: Int = 1 << 30,
    rowStoreLimit: Int = 1 << 24, ownerSilence: Duration = .seconds(8), owners: ServedOwners = ServedOwners(),
    hasEventLog: Bool = false, ranks: Int? = nil, garbling: (rank: Int, message: Int)? = nil,
    beforeDiskWork: @escaping @Sendable () -> Void = {}
  ) {
    communicators = ThreadCommunicator.group(of: ranks ?? 1).map { communicator in
      guard let garbling, garbling.rank == communicator.rank else { return communicator }
      return GarblingCommunicator(communicator, message: garbling.message)
    }
    self.store = store
    endpoint = network.makeServerEndpoint()
    let compute = Compute(threads: threads)
    var configuration = TrainerConfiguration(
      service: ServiceConfiguration(store: store, ownerSilence: ownerSilence), compute: compute,
      memoryLimit: memoryLimit, rowStoreLimit: rowStoreLimit, software: "test trainer",
      communicator: communicators[0])
    configuration.usesReplicas = ranks != nil
    configuration.service.owners = owners
    configuration.service.beforeDiskWork = beforeDiskWork
    if hasEventLog { configuration.service.eventLog = try? EventLog(store: store, program: "trainer") }
    for communicator in communicators.dropFirst() {
      otherRanks.enter()
      let thread = Thread { [otherRanks] in
        // One that fails ends the others, as a process does.
        do { try TrainerWorker<Element>(communicator: communicator, compute: compute).run() } catch {
          communicator.abort(code: 1)
        }
        otherRanks.leave()
      }
      thread.stackSize = 8 << 20
      thread.start()
    }
    let thread = Thread { [endpoint, stop, events, ended, configuration] in
      // An endpoint that is closed under the service ends it with an error, as a kill does without one.
      try? TrainerService<Element>(
        endpoint: endpoint, configuration: configuration, stop: stop, observe: { events.note($0) }
      ).run()
      ended.signal()
    }
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// As by SIGTERM: saves, tells the owners, returns.
  func shutDown() {
    stop.request()
    awaitEnd()
    endpoint.close()
  }

  /// As by kill -9, but for the runner, which cannot be killed inside this process: from now on its store is its own, and a
  /// snapshot of it is returned for the next trainer.
  func kill(snapshot: URL) throws {
    endpoint.close()
    try StoreSnapshot.take(of: store, as: snapshot)
    stop.request()
    awaitEnd()
  }

  /// One of its other processes dies; the trainer ends by itself.
  func killRank(_ rank: Int) {
    communicators[rank].abort(code: 1)
    awaitEnd()
    endpoint.close()
  }

  /// Why its ranks do not work together any more.
  var failure: CollectiveError? { communicators[0].failure }

  /// Waits for the end of a trainer that nobody ends.
  func endsByItself(within seconds: Double) -> Bool {
    guard ended.wait(timeout: .now() + seconds) == .success else { return false }
    ended.signal()
    awaitEnd()
    endpoint.close()
    return true
  }

  /// Gone without a word while the network stays.
  func vanish() {
    endpoint.close()
    awaitEnd()
  }

  /// As often as one likes.
  private func awaitEnd() {
    ended.wait()
    ended.signal()
    // After an endpoint that failed nobody stops them.
    if !stop.isRequested { communicators[0].abort(code: 1) }
    otherRanks.wait()
  }
}
