import ArgumentParser
import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Numerics
import OwnerRole
import Protocol
import SecureSums
import SiteRole
import Synchronization

/// All sites of a charter against an aggregator that runs elsewhere: the messages, masks and sums of real ones, without rows and training.
struct SitesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sites",
    abstract: "Sites that train nothing, in this process, against an aggregator at the charter's address.",
    discussion: """
      Each has a model of --entries zeros and updates of zeros. Prints the bytes of the messages that a site has sent. The charter masks no \
      model (federation.masking.strength: none) and standardises nothing; KEYS/NAME/owner.key is a site's key.

      Example: benchmarks sites charter.yaml --keys keys --entries 11000000 --out runs/sites
      """)

  struct Result: Encodable {
    let sites: Int
    let entries: Int
    let rounds: Int
    /// Of the median site; the one whose starting model is taken sends that, too.
    let bytesSent: Int
    let mostBytesSent: Int
    let bytesOfPlainFloats: Int
    let seconds: Double
  }

  @Argument(help: "The charter.") var charter: String
  @Option(help: "Directory with a directory for each site's key.") var keys: String
  @Option(help: "Trained parameters of the model.") var entries: Int
  @Option(name: .customLong("out"), help: "The directory to make: a run directory for each site.") var output: String
  @Option(help: "Sites that make a vector at a time; each takes 24 bytes an entry for it.") var width: Int = 4
  @Option(help: "Only these places of the charter, from 0. (default: all)") var only: [Int] = []

  func validate() throws {
    guard (1...1 << 30).contains(entries) else { throw ValidationError("--entries must be 1 … \(1 << 30)") }
    guard width >= 1 else { throw ValidationError("--width must be at least 1") }
  }

  func run() throws {
    let plan = try FederationPlan.load(path: charter)
    let places = only.isEmpty ? Array(plan.charter.sites.indices) : only
    guard places.allSatisfy(plan.charter.sites.indices.contains) else {
      throw ValidationError("--only has a place that the charter has not")
    }
    let sent = Mutex<[Int]>([])
    let failures = Mutex<[any Error]>([])
    let gate = DispatchSemaphore(value: width)
    let group = DispatchGroup()
    let seconds = Timing.seconds {
      for site in places {
        group.enter()
        let thread = Thread { [self] in
          do {
            let count = try join(site, plan, gate)
            sent.withLock { $0.append(count) }
          } catch {
            failures.withLock { $0.append(error) }
          }
          group.leave()
        }
        thread.stackSize = 4 << 20
        thread.start()
      }
      group.wait()
    }
    if let error = failures.withLock({ $0.first }) { throw error }
    try Report.write(
      Result(
        sites: places.count, entries: entries, rounds: plan.charter.federation.rounds,
        bytesSent: sent.withLock { $0.sorted()[$0.count / 2] }, mostBytesSent: sent.withLock { $0.max() ?? 0 },
        bytesOfPlainFloats: 4 * entries * plan.charter.federation.rounds,
        seconds: seconds))
  }

  /// - Returns: bytes sent.
  private func join(_ site: Int, _ plan: FederationPlan, _ gate: DispatchSemaphore) throws -> Int {
    let name = plan.charter.sites[site].name
    let key = try KeyFile(.owner, in: URL(filePath: keys).appending(path: name).path).readKeyPair()
    let channel = CountingChannel(
      try ZeroMQOwnerChannel(
        endpoint: plan.charter.aggregator.address, ownerKeys: key, serverKey: plan.aggregatorKey))
    let directory = SiteDirectory(root: URL(filePath: output).appending(path: name))
    try directory.open(plan, site: site, resuming: false)
    // Vectors are made and masked by a few sites at a time, as if each had memory of its own.
    var isHeld = false
    let session = try SiteSession(
      work: ZeroSite(plan: plan, site: site, entries: entries), directory: directory, key: key, channel: channel,
      options: SiteOptions(compute: Compute(threads: 1), software: "benchmarks"), isInterrupted: { false },
      observe: { event in
        switch event {
        case .began where !isHeld:
          gate.wait()
          isHeld = true
        case .sent, .leftOut:
          if isHeld {
            isHeld = false
            gate.signal()
          }
        default: break
        }
      })
    _ = try session.run()
    return channel.bytes
  }
}

/// A site whose model and updates are zeros.
private final class ZeroSite: SiteContribution {
  let plan: FederationPlan
  let site: Int
  let modelEntries: Int

  init(plan: FederationPlan, site: Int, entries: Int) {
    self.plan = plan
    self.site = site
    modelEntries = entries
  }

  var introduction: SiteIntroduction {
    SiteIntroduction(
      entries: modelEntries, columns: 0, model: String(repeating: "0", count: 64),
      columnNames: String(repeating: "0", count: 64), records: 0)
  }

  func check(_ records: [SumRecord]) {}
  func begin() {}
  func writePlan(progress: (Int, Int) throws -> Void) {}
  func start() -> [Float] { [Float](repeating: 0, count: plan.modelLength(entries: modelEntries)) }
  func isStart(_ vector: [Float]) -> Bool { vector.allSatisfy { $0 == 0 } }
  func format(of purpose: SumPurpose) throws -> VectorFormat {
    try plan.format(of: purpose, entries: modelEntries, columns: 0)
  }
  func pooledCount(of purpose: SumPurpose) -> Int { 0 }
  func entries(
    for purpose: SumPurpose, model vector: [Float], progress: (Int, Int) throws -> Void
  ) throws -> [UInt64] {
    var statistics = SiteStatistics(task: plan.charter.task)
    (statistics.weight, statistics.trainingRows) = (1, 1)
    let format = try format(of: purpose)
    var entries = format.vector()
    try statistics.encode(into: &entries, format: format)
    return entries
  }
  func remarks() -> [SiteEvent] { [] }
  func write(_ vector: [Float], to directory: SiteDirectory) {}
}

/// A channel that counts what is sent.
private final class CountingChannel: OwnerChannel {
  private let channel: any OwnerChannel
  private let sent = Mutex(0)

  init(_ channel: any OwnerChannel) {
    self.channel = channel
  }

  var bytes: Int { sent.withLock { $0 } }
  var isConnected: Bool { channel.isConnected }
  var isHandshaking: Bool { channel.isHandshaking }
  var isListening: Bool { channel.isListening }
  var addressProblem: String? { channel.addressProblem }

  func send(_ message: Message) throws(TransportError) {
    try channel.send(message)
    sent.withLock { $0 += message.reduce(0) { $0 + $1.count } }
  }

  func receive(timeout: Duration) throws(TransportError) -> Message? { try channel.receive(timeout: timeout) }
  func wake() { channel.wake() }
  func close() { channel.close() }
}
