import Collectives
import Dispatch
import Foundation
import Numerics
import Protocol
import Service
import Synchronization
import Testing
import TrainerRole

/// A trainer on a thread of its own, and each of its other ranks on another.
final class TrainerHost<Element: FloatingElement>: Sendable {
  let store: URL
  let events = EventRecorder()
  let deploymentMetrics: DeploymentMetrics
  private let endpoint: InProcessServerEndpoint
  private let stop = StopSwitch()
  private let ended = DispatchSemaphore(value: 0)
  private let communicators: [any Communicator]
  private let otherRanks = DispatchGroup()

  init(
    on network: InProcessNetwork, store: URL, threads: Int = 1, memoryLimit: Int = 1 << 30,
    rowStoreLimit: Int = 1 << 24, ownerSilence: Duration = .seconds(8), owners: ServedOwners = ServedOwners(),
    hasEventLog: Bool = false, jobsAtOnce: Int = 1, turn: Duration = .seconds(600), ranks: Int? = nil,
    garbling: (rank: Int, message: Int)? = nil, deploymentMemory: Int = 1 << 30,
    forgottenCopies: Duration = .seconds(600), deploymentLogLines: Int = 100_000,
    kernels: AvailableKernels = AvailableKernels(), allowsOtherKernel: Bool = false,
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
    configuration.kernels = kernels
    configuration.allowsOtherKernel = allowsOtherKernel
    configuration.deploymentMemory = deploymentMemory
    configuration.forgottenCopies = forgottenCopies
    configuration.deploymentLogLines = deploymentLogLines
    deploymentMetrics = configuration.deploymentMetrics
    configuration.service.owners = owners
    configuration.service.jobsAtOnce = jobsAtOnce
    configuration.service.turn = turn
    configuration.service.beforeDiskWork = beforeDiskWork
    if hasEventLog { configuration.service.eventLog = try? EventLog(store: store, program: "trainer") }
    for communicator in communicators.dropFirst() {
      otherRanks.enter()
      let thread = Thread { [otherRanks] in
        // One that fails ends the others, as a process does.
        do { try TrainerWorker<Element>(communicator: communicator, compute: compute, kernels: kernels).run() } catch {
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

/// A copy of a store at one moment, though files in it come and go: copied again until nothing changed meanwhile, which is a state that a
/// kill could have left.
enum StoreSnapshot {
  static func take(of store: URL, as copy: URL) throws {
    for _ in 0..<200 {
      let before = state(of: store)
      try? FileManager.default.removeItem(at: copy)
      do {
        try copyFiles(of: store, to: copy)
      } catch {
        continue
      }
      if state(of: store) == before { return }
    }
    Issue.record("the store never held still")
  }

  /// By reading each file to its end: `copyItem` waits for ever for bytes of a file that becomes shorter meanwhile.
  private static func copyFiles(of store: URL, to copy: URL) throws {
    try FileManager.default.createDirectory(at: copy, withIntermediateDirectories: true)
    for name in FileManager.default.enumerator(atPath: store.path)?.compactMap({ $0 as? String }) ?? [] {
      let (source, target) = (store.appending(path: name), copy.appending(path: name))
      if try source.resourceValues(forKeys: [.isDirectoryKey]).isDirectory == true {
        try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
      } else {
        try Data(contentsOf: source).write(to: target)
      }
    }
  }

  /// Every file's path, node, size and time of change.
  private static func state(of store: URL) -> [String] {
    let names = FileManager.default.enumerator(atPath: store.path)?.compactMap { $0 as? String } ?? []
    return names.sorted().map { name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: store.appending(path: name).path)
      let node = attributes?[.systemFileNumber] as? Int
      let size = attributes?[.size] as? Int
      let date = (attributes?[.modificationDate] as? Date)?.timeIntervalSince1970
      return "\(name) \(node ?? 0) \(size ?? 0) \(date ?? 0)"
    }
  }
}

/// What a trainer said of itself.
final class EventRecorder: Sendable {
  private let events = Mutex<[TrainerEvent]>([])

  func note(_ event: TrainerEvent) {
    events.withLock { $0.append(event) }
  }

  var refusals: [String] {
    events.withLock { events in
      events.compactMap { event in
        if case .refused(_, _, let reason) = event { return reason }
        return nil
      }
    }
  }

  var checkpoints: [Int] {
    events.withLock { events in
      events.compactMap { event in
        if case .role(.checkpoint(_, let step, _)) = event { return step }
        return nil
      }
    }
  }

  var failures: [String] {
    events.withLock { events in
      events.compactMap { event in
        if case .jobFailed(_, let reason) = event { return reason }
        return nil
      }
    }
  }

  /// What jobs were multiplied with, in the order in which they began or went on.
  var kernels: [String] {
    events.withLock { events in
      events.compactMap { event in
        if case .role(.multiplies(_, let kernel, _)) = event { return kernel }
        return nil
      }
    }
  }

  /// From what, and to what, jobs changed.
  var changes: [[String]] {
    events.withLock { events in
      events.compactMap { event in
        if case .role(.kernelChanged(_, let step, let from, let to)) = event { return ["\(step)", from, to] }
        return nil
      }
    }
  }

  var pauses: [Int] {
    events.withLock { events in
      events.compactMap { event in
        if case .jobPaused(_, let step, _) = event { return step }
        return nil
      }
    }
  }

  /// Jobs that began or went on.
  var started: Int {
    events.withLock { events in
      events.count { event in
        if case .jobStarted = event { return true }
        return false
      }
    }
  }

  var finished: Int {
    events.withLock { events in
      events.count { event in
        if case .jobFinished = event { return true }
        return false
      }
    }
  }
}
