import Dispatch
import Foundation
import JobSpec
import Numerics
import OwnerRole
import Protocol
import Service
import SiteRole
import Synchronization
import TestSupport
import TrainerRole

/// A provider in this process: a trainer on a thread of its own, which can be killed and started again on what its store held.
final class ProviderHost<Element: FloatingElement>: Sendable {
  private final class Process: Sendable {
    let store: URL
    private let endpoint: InProcessServerEndpoint
    private let stop = StopSwitch()
    private let ended = DispatchSemaphore(value: 0)

    init(_ network: InProcessNetwork, store: URL, memoryLimit: Int) {
      self.store = store
      endpoint = network.makeServerEndpoint()
      let configuration = TrainerConfiguration(
        service: ServiceConfiguration(store: store), compute: Compute(threads: 1), memoryLimit: memoryLimit,
        rowStoreLimit: 1 << 24, software: "test provider")
      let thread = Thread { [endpoint, stop, ended] in
        try? TrainerService<Element>(
          endpoint: endpoint, configuration: configuration, stop: stop, observe: { _ in }
        ).run()
        ended.signal()
      }
      thread.stackSize = 8 << 20
      thread.start()
    }

    /// - Parameter atOnce: whether nothing more reaches anybody, as by a kill.
    func end(atOnce: Bool, snapshot: URL? = nil) {
      if atOnce { endpoint.close() }
      if let snapshot { Self.copy(store, to: snapshot) }
      stop.request()
      ended.wait()
      endpoint.close()
    }

    /// A copy that no file came to or went from meanwhile: what a kill could have left.
    private static func copy(_ store: URL, to copy: URL) {
      let manager = FileManager.default
      for _ in 0..<200 {
        try? manager.removeItem(at: copy)
        let before = try? manager.subpathsOfDirectory(atPath: store.path).sorted()
        guard (try? manager.copyItem(at: store, to: copy)) != nil else { continue }
        if before == (try? manager.subpathsOfDirectory(atPath: store.path).sorted()) { return }
      }
    }
  }

  let network = InProcessNetwork()
  private let directory: TemporaryDirectory
  private let memoryLimit: Int
  private let process: Mutex<(alive: Process?, count: Int)>

  init(_ directory: TemporaryDirectory, memoryLimit: Int = 1 << 30, isStarted: Bool = true) {
    self.directory = directory
    self.memoryLimit = memoryLimit
    process = Mutex((nil, 0))
    if isStarted { start() }
  }

  func start() {
    process.withLock { process in
      process.alive = Process(
        network, store: directory.url("provider-\(process.count)"), memoryLimit: memoryLimit)
    }
  }

  /// As by kill -9: the store is what it is at this moment.
  func kill() {
    process.withLock { process in
      let next = directory.url("provider-\(process.count + 1)")
      process.alive?.end(atOnce: true, snapshot: next)
      process = (nil, process.count + 1)
    }
  }

  func shutDown() {
    process.withLock { process in
      process.alive?.end(atOnce: false)
      process.alive = nil
    }
  }

  /// All of its store.
  var files: [URL] {
    let store = process.withLock { directory.url("provider-\($0.count)") }
    let names = (try? FileManager.default.subpathsOfDirectory(atPath: store.path)) ?? []
    return names.map { store.appending(path: $0) }
  }

  /// Jobs that the store has.
  var jobs: [String] { files.map(\.lastPathComponent).filter { $0 == "job.json" } }

  /// A site's way to it.
  ///
  /// - Parameter operations: after how many the site is killed; nil for never.
  func provider(
    of federation: SmallFederation, _ site: Int, patience: Duration = .seconds(60), operations: Int? = nil,
    observe: @escaping (RunEvent) -> Void = { _ in }
  ) -> TrainingProvider {
    let channel = network.connect(OwnerKey(federation.siteKeys[site].publicKey))
    return TrainingProvider(
      channel: operations.map { MortalChannel(channel, operations: $0) } ?? channel,
      options: RunOptions(compute: Compute(threads: 1), patience: patience, software: "test site"),
      isInterrupted: { false }, observe: observe)
  }
}
