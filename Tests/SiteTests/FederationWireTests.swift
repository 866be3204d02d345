import Federation
import Foundation
import OwnerRole
import Protocol
import SecureSums
import Synchronization
import TestSupport
import Testing

@testable import SiteRole

/// What a federation's messages depend on, and what of a single site is in them.
@Suite struct FederationWireTests {
  /// The files of the model that a site ends with, by name.
  private func model(_ federation: SmallFederation, site: Int) throws -> [String: Data] {
    let place = federation.runDirectory(site).run.model
    let names = try FileManager.default.contentsOfDirectory(atPath: place.path)
    return try Dictionary(uniqueKeysWithValues: names.map { ($0, try Data(contentsOf: place.appending(path: $0))) })
  }

  @Test(arguments: ["{name: fedavg, weighting: rows}", "{name: fedyogi, weighting: equal}"])
  func `Whoever answers first, and on however many threads, the model has the same bits`(strategy: String) throws {
    let first = try SmallFederation(
      strategy: strategy, strength: "permutation", standardize: "pooled", hidden: "[8]")
    var models: [[String: Data]] = []
    for (number, (threads, delays)) in [(1, [0, 40, 80]), (2, [80, 40, 0]), (2, [40, 80, 0])].enumerated() {
      var federation = first
      federation.place = "\(number)-"
      federation.threads = threads
      let results = try federation.run { site, event in
        // Before a site works on its part of a sum.
        if case .began = event { Thread.sleep(forTimeInterval: Double(delays[site]) / 1000) }
      }
      for result in results { _ = try result.get() }
      for site in federation.rows.indices { models.append(try model(federation, site: site)) }
    }
    #expect(models.count == 9 && models[0].count >= 2)
    for other in models { #expect(other == models[0]) }
  }

  /// Everything that the sites of a federation sent, by site.
  private final class Tap: Sendable {
    private let sent = Mutex<[String: [Message]]>([:])

    func listen(to network: InProcessNetwork) {
      network.setFault { transit in
        if transit.direction == .toServer {
          self.sent.withLock { $0[transit.ownerKey.z85, default: []].append(transit.message) }
        }
        return [transit.message]
      }
    }

    func frames(of federation: SmallFederation, site: Int) -> [[UInt8]] {
      sent.withLock { $0[federation.siteKeys[site].publicKey.z85] ?? [] }.flatMap { $0.map { Array($0) } }
    }
  }

  private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  private static func contains(_ frames: [[UInt8]], _ wanted: [UInt8]) -> Bool {
    frames.contains { Data($0).range(of: Data(wanted)) != nil }
  }

  /// In any of the forms that a program could send a count in: text of a header's JSON, integers of 64 bits, floating point.
  private static func forms(ofCount count: Int) -> [[UInt8]] {
    [Array(":\(count),".utf8), Array(":\(count)}".utf8), bytes(Int64(count)), bytes(Double(count).bitPattern)]
  }

  @Test(arguments: ["secure", "plain"])
  func `Row counts and scores of one site are nowhere in what it sends, unless sums are plain`(aggregation: String)
    throws
  {
    // Counts that nothing else has: 1021 of 1276 rows are trained on, 761 of 951, 641 of 801.
    let federation = try SmallFederation(rows: [1276, 951, 801], aggregation: aggregation, standardize: "pooled")
    let network = InProcessNetwork()
    let tap = Tap()
    tap.listen(to: network)
    for result in try federation.run(network: network) { _ = try result.get() }
    var found = 0
    for site in federation.rows.indices {
      let frames = tap.frames(of: federation, site: site)
      #expect(frames.count > 10)
      let data = try federation.data(site).prepared
      for count in [data.split.training.count, data.split.validation.count] {
        for form in Self.forms(ofCount: count) where Self.contains(frames, form) { found += 1 }
      }
      // Fixed point: the vector as it is before the masks, entry by entry, but for zeros.
      let work = try federation.work(site, resuming: true)
      let start = try work.start()
      let vector = try work.entries(for: .update(round: 0), model: start) { _, _ in }
      for entry in vector where entry != 0 && Self.contains(frames, Self.bytes(entry)) { found += 1 }
    }
    // Plain sums show all of it, so that the search is known to find it.
    #expect(aggregation == "secure" ? found == 0 : found > 10)
  }

  /// All bytes of the masked vectors that a site sends, against a uniform distribution: χ² with 255 degrees of freedom has mean 255 and deviation
  /// 22.6; 6 deviations are 391.
  @Test func `What a site uploads looks uniform`() throws {
    let federation = try SmallFederation(rows: [40, 31, 23], rounds: 1, hidden: "[256, 128]")
    let network = InProcessNetwork()
    let tap = Tap()
    tap.listen(to: network)
    for result in try federation.run(network: network) { _ = try result.get() }
    for site in federation.rows.indices {
      // Long frames are vectors: the starting model of one site, which is masked by a fixed key alone, and the uploads.
      let entries = try federation.work(site, resuming: true).model.count
      let uploads = tap.frames(of: federation, site: site).filter { $0.count >= 8 * entries }
      #expect(uploads.count == 1)
      var counts = [Int](repeating: 0, count: 256)
      for byte in uploads.joined() { counts[Int(byte)] += 1 }
      let expected = Double(counts.reduce(0, +)) / 256
      #expect(expected > 1000)
      let statistic = counts.reduce(0.0) { $0 + (Double($1) - expected) * (Double($1) - expected) / expected }
      #expect(statistic < 391, "\(statistic)")
    }
  }
}
