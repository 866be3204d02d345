import Cryptography
import Foundation
import Foundations
import Numerics
import Protocol
import SecureSums
import TestSupport
import Testing

@testable import AggregatorRole
@testable import Federation
@testable import Protocol

/// Sites that wait hear whom for, by names that all of them know.
@Suite struct AwaitedSitesTests {
  @Test(arguments: [
    (["north"], 0, "north"), (["north", "west"], 0, "north and west"),
    (["north", "west"], 12, "north, west and 12 others"),
    (["north"], 1, "north and 1 other"), (["a", "b", "c", "d"], 0, "a, b, c and d"),
  ])
  func theyAreNamedUpToABound(_ names: [String], _ others: Int, _ text: String) throws {
    #expect(try read(others, Array(names.indices)).text { names[$0] } == text)
  }

  /// A message with these numbers, as whoever may send it.
  private func read(_ others: Int, _ named: [Int]) throws -> AwaitedSites {
    var envelope = Envelope(kind: 153, job: .random())
    envelope.write(others, named.count)
    for place in named { envelope.write(place) }
    var opened = try OpenedEnvelope(envelope.frames, limits: WireLimits())
    guard case .awaited(let sites) = try AggregatorAnswer(from: &opened) else {
      throw WireError.malformed("another message")
    }
    return sites
  }

  @Test func moreThanFourAreCounted() throws {
    #expect(AwaitedSites(Array(0..<4)).named == [0, 1, 2, 3])
    let many = AwaitedSites(Array(2..<102))
    #expect(many.named == [2, 3, 4] && many.others == 97)
    #expect(try read(97, [2, 3, 4]) == many)
    #expect(many.fits(sites: 102) && many.fits(sites: 100) && !many.fits(sites: 99))
    #expect(!AwaitedSites([3]).fits(sites: 3) && !AwaitedSites([]).fits(sites: 3))
    #expect(try !read(0, [1, 1]).fits(sites: 3))
    #expect(throws: WireError.self) { try read(0, []) }
    #expect(throws: WireError.self) { try read(0, Array(0..<5)) }
  }

  /// Three sites of which all are needed: the first takes word, the second is of before, the third comes late.
  @Test func whoWaitsIsToldOnceAndNotWhoIsWaitedFor() throws {
    let federation = try TestFederation(minimum: 3, patience: 0.5, aggregation: "plain")
    let directory = try TemporaryDirectory()
    let start = ContinuousClock.now
    let run = try FederationRun(
      federation.plan, folder: directory.url,
      key: federation.aggregatorKeys.withSecretBytes { try KeyAgreement(secret: $0) },
      mostSums: 8, at: start)
    var here: Set<Int> = []
    func perform(_ second: Int, _ body: (FederationRun) throws -> Void = { _ in }) throws -> [FederationRun.Effect] {
      let presence = (0..<3).map { FederationRun.Presence(isHere: here.contains($0), since: start) }
      let (effects, refusal) = run.perform(presence, at: start + .seconds(second), ticks: true, body)
      if let refusal { throw refusal }
      return effects
    }
    func told(_ effects: [FederationRun.Effect]) -> [Int: AwaitedSites] {
      effects.reduce(into: [:]) { told, effect in
        if case .send(.awaited(let sites), let site) = effect { told[site] = sites }
      }
    }
    func status(_ effects: [FederationRun.Effect]) -> FederationStatus? {
      effects.compactMap { if case .event(.status(let status)) = $0 { status } else { nil } }.last
    }
    for site in 0..<2 {
      here.insert(site)
      var introduction = federation.introduction
      introduction.hearsAwaited = site == 0 ? true : nil
      #expect(told(try perform(0) { try $0.introduce(introduction, from: site) }).isEmpty)
    }
    let model = federation.start
    #expect(run.awaited == [0], "the starting model")
    let effects = try perform(1) { try $0.start(Tensor(model, shape: [model.count]), at: 0, from: 0) }
    #expect(status(effects)?.waitingFor == ["site2"])
    #expect(status(effects)?.stage == "waiting for site2: update 0 needs 3 sites, 2 are here")
    #expect(told(try perform(4)).isEmpty)
    #expect(told(try perform(6)) == [0: AwaitedSites([2])])
    #expect(told(try perform(60)).isEmpty)
    here.insert(2)
    var introduction = federation.introduction
    introduction.hearsAwaited = true
    _ = try perform(70) { try $0.introduce(introduction, from: 2) }
    #expect(run.awaited == [0, 1, 2])
    #expect(told(try perform(80)).isEmpty, "all of them have something to do")
    let vector = try federation.vector(of: 0, for: .update(round: 0), model: model).map { Int64(bitPattern: $0) }
    let done = try perform(81) { run in
      try run.upload(Tensor(vector, shape: [vector.count]), at: 0, sum: 1, attempt: 1, from: 0)
      try run.finishUpload([], sum: 1, attempt: 1, from: 0)
    }
    #expect(status(done)?.waitingFor == ["site1", "site2"])
    #expect(told(done) == [0: AwaitedSites([1, 2])])
    // On another connection it has not heard it.
    #expect(told(try perform(90) { try $0.introduce(introduction, from: 0) }) == [0: AwaitedSites([1, 2])])
  }
}
