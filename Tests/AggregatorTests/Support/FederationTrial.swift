import AggregatorRole
import Federation
import Foundation
import JobSpec
import Protocol
import Synchronization
import Testing
import TestSupport

/// A whole federation in this process: an aggregator that may be killed, and its sites.
final class FederationTrial {
  let federation: TestFederation
  let network: InProcessNetwork
  let folder: TemporaryDirectory
  private(set) var sites: [ScriptedSite] = []
  private(set) var aggregator: TestAggregator

  var store: URL { folder.url.appending(path: "store") }

  /// - Parameter beforeDiskWork: called before each piece of the aggregator's work.
  init(
    _ federation: TestFederation, mostSumsOfSetUp: Int = 1024, beforeDiskWork: @escaping @Sendable () -> Void = {}
  ) throws {
    self.federation = federation
    folder = try TemporaryDirectory()
    var options = TransportOptions()
    options.sendQueueMessages = 1024
    network = InProcessNetwork(options: options)
    aggregator = try TestAggregator(
      federation, store: folder.url.appending(path: "store"), on: network, mostSumsOfSetUp: mostSumsOfSetUp,
      beforeDiskWork: beforeDiskWork)
  }

  /// - Parameter deaths: of each site, by its place.
  func startSites(
    dying deaths: [Int: [ScriptedSite.Death]] = [:], but absent: Set<Int> = [], pieceEntries: Int = 1000
  ) {
    sites = federation.siteKeys.indices.filter { !absent.contains($0) }.map {
      ScriptedSite(federation, $0, on: network, dying: deaths[$0] ?? [], pieceEntries: pieceEntries)
    }
  }

  /// Ends the aggregator without a word and starts another on its store, or on a copy of it.
  func restart(on other: URL? = nil) throws {
    aggregator.kill()
    if let other {
      try FileManager.default.removeItem(at: store)
      try FileManager.default.copyItem(at: other, to: store)
    }
    aggregator = try TestAggregator(federation, store: store, on: network)
  }

  var content: StoreContent { get throws { try StoreContent(store, federation) } }

  /// That the federation comes to its end by itself, that every site has its result, and that every model is what a plain recomputation with
  /// the recorded survivors gives, bit for bit.
  @discardableResult
  func expectEnd(
    withinSeconds seconds: Double = 60, of places: Set<Int>? = nil, location: Testing.SourceLocation = #_sourceLocation
  ) throws -> StoreContent {
    let isEnded = aggregator.waitForEnd(seconds)
    #expect(isEnded, "the aggregator ends by itself: \(aggregator.events.suffix(3))", sourceLocation: location)
    if !isEnded { aggregator.shutDown() }
    let content = try content
    try expectReplay(content, location: location)
    let left = try FileManager.default.contentsOfDirectory(atPath: content.folder.path)
    #expect(
      left.allSatisfy { !$0.hasPrefix("upload-") && $0 != "start.f32" } && left.count { $0.hasPrefix("memory-") } <= 1,
      "nothing is left of what is over: \(left)", sourceLocation: location)
    for site in sites {
      if isEnded {
        #expect(site.wait(10), "a site hears that it is done", sourceLocation: location)
      } else {
        site.stop()
      }
      let outcome = site.outcome.withLock { $0 }
      #expect(outcome.result?.model.count == 64, sourceLocation: location)
      if let result = outcome.result {
        #expect(try Self.bits(outcome.model) == Self.bits(content.model(result.rounds)), sourceLocation: location)
      }
      #expect(outcome.records == content.records, "each site has the records, once each", sourceLocation: location)
    }
    return content
  }

  func expectReplay(_ content: StoreContent, location: Testing.SourceLocation = #_sourceLocation) throws {
    let plain = try PlainFederation(federation, survivors: content.survivors(federation))
    for (rounds, model) in plain.models.enumerated() {
      let kept = try content.model(rounds)
      #expect(Self.bits(kept) == Self.bits(model), "the model after \(rounds) rounds", sourceLocation: location)
    }
  }

  static func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

  /// Names of all sites: what the records of an undisturbed federation say of every sum.
  var allNames: [String] { federation.plan.charter.sites.map(\.name) }

  func expectNoTrace(_ content: StoreContent, location: Testing.SourceLocation = #_sourceLocation) {
    for record in content.records {
      #expect(record.survivors == allNames, "\(record.purpose)", sourceLocation: location)
    }
  }
}

extension FederationTrial {
  /// A site's connection, message by message.
  ///
  /// - Parameters:
  ///   - check: of its group key; nil to say nothing of it.
  ///   - instance: of its process.
  func join(_ site: Int, _ check: String?, instance: String? = nil) throws -> SiteConnection {
    let connection = SiteConnection(network, key: federation.siteKeys[site], job: federation.plan.job)
    var introduction = federation.introduction
    introduction.groupCheck = check
    introduction.instance = instance
    try connection.open(federation, introduction)
    return connection
  }
}

/// Waiting for another thread, bounded.
func eventually(_ seconds: Double = 60, _ condition: () throws -> Bool) rethrows -> Bool {
  let end = ContinuousClock.now + .seconds(seconds)
  while try !condition() {
    guard ContinuousClock.now < end else { return false }
    Thread.sleep(forTimeInterval: 0.01)
  }
  return true
}
