import Federation
import Foundation
import Foundations
import Numerics
import Protocol
import SecureSums
import Testing
import TestSupport

@testable import AggregatorRole

/// Uploads that count and whose vectors are gone, because a disk has spoilt them while the aggregator was away.
@Suite(.waiting, .timeLimit(.minutes(3))) struct LostUploadTests {
  /// A plain upload has no header that says what it must be.
  @Test func aPlainUploadThatTheDiskHasSpoiltWhileTheAggregatorWasAwayIsAskedForAgain() throws {
    let trial = try FederationTrial(TestFederation(rounds: 1, aggregation: "plain"))
    trial.startSites(dying: [2: [.init(moment: .halfway("update 0"), away: 2)]], pieceEntries: 5)
    let folder = { try trial.content.folder }
    #expect(
      eventually {
        let bytes = (try? Data(contentsOf: try folder().appending(path: "sums.json"))) ?? Data()
        return String(decoding: bytes, as: UTF8.self).replacing(/\s/, with: "").contains(#""uploads":[0,1]"#)
          || String(decoding: bytes, as: UTF8.self).replacing(/\s/, with: "").contains(#""uploads":[1,0]"#)
      })
    trial.aggregator.kill()
    try spoil(folder())
    try trial.restart()
    trial.expectNoTrace(try trial.expectEnd())
    #expect(
      trial.aggregator.events.contains {
        if case .uploadDropped("site0", let reason) = $0 { reason.contains("has altered") } else { false }
      })
  }

  /// A plain federation whose first sum is closed with the uploads of site 0 and 1, of which the first is spoilt; nobody is there.
  private func closed() throws -> FederationTrial {
    let trial = try FederationTrial(TestFederation(rounds: 1, patience: 5, aggregation: "plain"))
    trial.startSites(dying: [2: [.init(moment: .halfway("update 0"), away: nil)]], pieceEntries: 5)
    let folder = { try trial.content.folder }
    #expect(
      eventually {
        let bytes = (try? Data(contentsOf: try folder().appending(path: "sums.json"))) ?? Data()
        let text = String(decoding: bytes, as: UTF8.self).replacing(/\s/, with: "")
        return text.contains(#""uploads":[0,1]"#) || text.contains(#""uploads":[1,0]"#)
      })
    trial.aggregator.kill()
    for site in trial.sites { site.stop() }
    try editJSON(folder().appending(path: "sums.json")) { object in
      (object["check"], object["version"]) = (nil, nil)
      var task = object["task"] as? [String: Any] ?? [:]
      task["isClosed"] = true
      object["task"] = task
    }
    try spoil(folder())
    try trial.restart()
    return trial
  }

  private func spoil(_ folder: URL) throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    let file = folder.appending(path: try #require(names.first { $0.hasPrefix("upload-") && $0.hasSuffix("-0.i64") }))
    var bytes = try Data(contentsOf: file)
    bytes[3] ^= 8
    try bytes.write(to: file)
  }

  @Test func aClosedSumWhoseVectorIsLostSaysWhomItWaitsFor() throws {
    let trial = try closed()
    defer { trial.aggregator.shutDown() }
    let other = ScriptedSite(trial.federation, 1, on: trial.network)
    defer { other.stop() }
    #expect(
      eventually {
        trial.aggregator.events.contains {
          if case .waiting(let reason) = $0 { reason.contains("the upload of site0 is gone here") } else { false }
        }
      })
    let shown = try String(contentsOf: trial.content.folder.appending(path: "sites.json"), encoding: .utf8)
    #expect(shown.contains("the upload of site0 is gone here"), "\(shown)")
    // With it the sum goes on.
    let site = ScriptedSite(trial.federation, 0, on: trial.network)
    defer { site.stop() }
    #expect(try eventually { try !trial.content.records.isEmpty })
    #expect(try trial.content.records.first?.survivors == ["site0", "site1"])
    try trial.expectReplay(trial.content)
    #expect(
      eventually {
        trial.aggregator.events.contains { if case .sumBegan("evaluation 1", _) = $0 { true } else { false } }
      })
  }

  /// The hash of what counts is kept: the site is told what to do, and not that a file has altered, which nobody read.
  @Test func anUploadThatComesAgainWithOtherValuesIsRefusedWithTheWayOut() throws {
    let trial = try closed()
    defer { trial.aggregator.shutDown() }
    let site = SiteConnection(trial.network, key: trial.federation.siteKeys[0], job: trial.federation.plan.job)
    try site.open(trial.federation)
    let request = try site.first { if case .role(.plainRequest(let request)) = $0 { request } else { nil } }
    let count = try trial.federation.format(of: .update(round: 0)).count
    try site.send(
      .upload(
        sum: request.sum, attempt: request.attempt, offset: 0,
        entries: Tensor([Int64](repeating: 3, count: count), shape: [count])))
    try site.send(
      .finishUpload(sum: request.sum, attempt: request.attempt, header: Tensor([UInt8](), shape: [0])))
    let reason = try site.first {
      if case .role(.uploadUnwanted(_, _, let reason)) = $0 { reason } else { nil }
    }
    #expect(reason.contains("other values than") && reason.contains("start this site again"), "\(reason)")
    site.channel.close()
    let again = ScriptedSite(trial.federation, 0, on: trial.network)
    defer { again.stop() }
    #expect(try eventually { try !trial.content.records.isEmpty })
  }
}
