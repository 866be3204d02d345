import Cryptography
import Federation
import Foundation
import Foundations
import Numerics
import OwnerRole
import Protocol
import SecureSums
import Synchronization
import TestSupport
import Testing

@testable import SiteRole

/// What a site refuses of an aggregator that lies, beside what its side of the sums refuses.
@Suite struct HostileAggregatorTests {
  /// A site against an aggregator that answers as it is told.
  ///
  /// - Parameter answer: to a request of the site's role; called on the aggregator's thread.
  /// - Returns: why the site ended, and what it had told.
  private func run(
    _ federation: SmallFederation, answer: @escaping @Sendable (SiteRequest) -> [AggregatorAnswer]
  ) throws -> (error: (any Error)?, events: [SiteEvent]) {
    let network = InProcessNetwork()
    let endpoint = network.makeServerEndpoint()
    let isOver = Flag()
    let ended = MonotonicLatch()
    let job = federation.plan.job
    let aggregator = Thread {
      while !isOver.isRaised {
        guard let incoming = try? endpoint.receive(timeout: .milliseconds(100)),
          var envelope = try? OpenedEnvelope(incoming.frames, limits: WireLimits())
        else { continue }
        var answers: [AggregatorAnswer] = []
        if let conversation = try? ConversationRequest(from: &envelope) {
          if case .hello = conversation {
            answers = [.welcome(AggregatorGreeting(software: "liar", federation: "small"))]
          }
          if conversation == .ping { answers = [.conversation(.pong)] }
        } else if let request = try? SiteRequest(from: &envelope) {
          answers = answer(request)
        }
        for answer in answers {
          try? endpoint.send(answer.envelope(for: job).frames(version: .current), to: incoming.peer)
        }
      }
      ended.open()
    }
    aggregator.start()
    defer {
      isOver.raise()
      ended.wait()
    }
    let events = Mutex<[SiteEvent]>([])
    let began = ContinuousClock.now
    let session = try SiteSession(
      work: try federation.work(0), directory: federation.runDirectory(0), key: federation.siteKeys[0],
      channel: network.connect(OwnerKey(federation.siteKeys[0].publicKey)),
      options: SiteOptions(compute: Compute(threads: 1), software: "test site"),
      // A site that does not refuse is ended, and then has no such error.
      isInterrupted: { began.duration(to: .now) > .seconds(60) },
      observe: { event in events.withLock { $0.append(event) } })
    do {
      _ = try session.run()
      return (nil, events.withLock { $0 })
    } catch {
      return (error, events.withLock { $0 })
    }
  }

  private func expectLie(_ error: (any Error)?, saying text: String) {
    guard case .aggregatorLies(let what)? = error as? SiteError else {
      Issue.record("ended otherwise: \(String(describing: error))")
      return
    }
    #expect(what.contains(text), "\(what)")
  }

  /// Answers that every site needs, for uploads and models; nil for what a script decides.
  private static func usual(_ request: SiteRequest, models: [Int: [Float]]) -> [AggregatorAnswer]? {
    switch request {
    case .join: return [.joined]
    case .askUpload(let sum, let attempt): return [.uploadHeld(sum: sum, attempt: attempt, entries: 0)]
    case .upload(let sum, let attempt, let offset, let entries):
      return [.uploadHeld(sum: sum, attempt: attempt, entries: offset + entries.count)]
    case .fetch(let rounds, let offset):
      guard let model = models[rounds] else { return [] }
      return [.model(rounds: rounds, offset: offset, entries: Tensor(model, shape: [model.count]))]
    default: return nil
    }
  }

  private func request(
    _ purpose: SumPurpose, of federation: SmallFederation, about subject: [UInt8], number: UInt64 = 0
  ) throws -> AggregatorAnswer {
    let format = try federation.plan.format(of: purpose, entries: 4, columns: 3)
    return .plainRequest(
      PlainRequest(
        sum: number, attempt: 1, purpose: purpose.description, model: subject.hexadecimal,
        format: format.digest.hexadecimal))
  }

  private func record(
    _ purpose: SumPurpose, model: [Float], survivors: [String] = ["site0", "site1", "site2"]
  ) -> AggregatorAnswer {
    var record = SumRecord(
      purpose: purpose, sum: 0, attempt: 1, cohort: ["site0", "site1", "site2"], survivors: survivors, seconds: 0)
    record.model = ModelHash.of(model).hexadecimal
    return .recorded(record)
  }

  @Test(arguments: [SumPurpose.evaluation(rounds: 2), .means, .deviations])
  func `A sum that the charter does not have is refused, such as scores under privacy`(purpose: SumPurpose) throws {
    let federation = try PrivacyFixture.federation(unit: "record", aggregation: "plain")
    let asked = try request(purpose, of: federation, about: FederationPlan.noModel)
    let (error, events) = try run(federation) { request in
      if let answers = Self.usual(request, models: [:]) { return answers }
      return request.isIntroduction ? [asked] : []
    }
    expectLie(error, saying: "which the charter does not sum")
    #expect(!events.contains { if case .began = $0 { true } else { false } })
  }

  /// The aggregator sends all records to a site that has none, and the ledger begins at zero.
  @Test func `A record of a round that the ledger does not count ends the part of a site that lost its own`() throws {
    let federation = try PrivacyFixture.federation(unit: "record", aggregation: "plain")
    let start = try federation.work(1).start()
    let next = start.map { $0 + 1 }
    let others = record(.update(round: 0), model: next, survivors: ["site1", "site2"])
    let all = record(.update(round: 0), model: next)
    let asked = try request(.update(round: 1), of: federation, about: ModelHash.of(next), number: 1)
    let (error, events) = try run(federation) { request in
      if let answers = Self.usual(request, models: [0: start, 1: next]) { return answers }
      return request.isIntroduction ? [others, all, asked] : []
    }
    guard case .privacy(let reason)? = error as? SiteError else {
      Issue.record("ended otherwise: \(String(describing: error))")
      return
    }
    #expect(reason.contains("round 1 had this site's update, and this run directory's ledger does not count it"))
    // Nothing was made for the next round, let alone sent.
    #expect(!events.contains { if case .began = $0 { true } else { false } })
    #expect(try PrivacyFixture.entries(federation, site: 0).isEmpty)
    // The one that it was not in is kept, the other is not.
    #expect(try SiteHistory(federation.runDirectory(0)).records.map(\.survivors) == [["site1", "site2"]])
  }

  /// A plain federation without masks, and its starting model.
  private func plain(standardize: String = "none") throws -> (federation: SmallFederation, start: [Float]) {
    let federation = try SmallFederation(strength: "none", aggregation: "plain", standardize: standardize)
    let other = try federation.work(1)
    return (federation, try other.start())
  }

  /// Round 0 as it should be, and then what `after` says.
  private func secondRound(
    _ federation: SmallFederation, _ models: [Int: [Float]], after: [AggregatorAnswer]
  ) throws -> (error: (any Error)?, events: [SiteEvent]) {
    let start = try #require(models[0])
    let first = try request(.update(round: 0), of: federation, about: ModelHash.of(start))
    return try run(federation) { request in
      if let answers = Self.usual(request, models: models) { return answers }
      switch request {
      case .introduce: return [first]
      case .finishUpload(let sum, let attempt, _):
        return [.uploadHeld(sum: sum, attempt: attempt, entries: 1 << 20)] + (sum == 0 ? after : [])
      default: return []
      }
    }
  }

  @Test func `A site that comes late with another group key finds that out from the starting model`() throws {
    let (federation, start) = try plain()
    let models = [0: start.map { $0 + 1 }, 1: start]
    let messages = [
      record(.update(round: 0), model: start, survivors: ["site1", "site2"]),
      try request(.update(round: 1), of: federation, about: ModelHash.of(start), number: 1),
    ]
    let (error, _) = try run(federation) { request in
      if let answers = Self.usual(request, models: models) { return answers }
      guard case .introduce = request else { return [] }
      return messages
    }
    #expect(error as? SiteError == .otherStart)
  }

  @Test func `One model in two rounds is refused`() throws {
    let (federation, start) = try plain()
    let (error, _) = try secondRound(
      federation, [0: start, 1: start],
      after: [
        record(.update(round: 0), model: start),
        try request(.update(round: 1), of: federation, about: ModelHash.of(start), number: 1),
      ])
    expectLie(error, saying: "one model in two rounds")
  }

  @Test func `A model that the last record does not name is refused`() throws {
    let (federation, start) = try plain()
    let (named, sent) = (start.map { $0 + 1 }, start.map { $0 + 2 })
    let (error, _) = try secondRound(
      federation, [0: start, 1: sent],
      after: [
        record(.update(round: 0), model: named),
        try request(.update(round: 1), of: federation, about: ModelHash.of(sent), number: 1),
      ])
    expectLie(error, saying: "another model than the one that its last record names")
  }

  @Test func `A request about another model than the one sent is refused`() throws {
    let (federation, start) = try plain()
    let (named, other) = (start.map { $0 + 1 }, start.map { $0 + 2 })
    let (error, _) = try secondRound(
      federation, [0: start, 1: named],
      after: [
        record(.update(round: 0), model: named),
        try request(.update(round: 1), of: federation, about: ModelHash.of(other), number: 1),
      ])
    expectLie(error, saying: "a sum about another model")
  }

  @Test func `A result that the records do not name is refused`() throws {
    let (federation, start) = try plain()
    let (named, other) = (start.map { $0 + 1 }, start.map { $0 + 2 })
    let result = FederationResult(rounds: 1, model: ModelHash.of(other).hexadecimal, reason: "done")
    let (error, _) = try secondRound(
      federation, [0: start, 1: other], after: [record(.update(round: 0), model: named), .result(result)])
    expectLie(error, saying: "another model as the result")
  }

  @Test func `Two sums that differ by one site are told`() throws {
    let (federation, start) = try plain()
    let next = start.map { $0 + 1 }
    let (_, events) = try secondRound(
      federation, [0: start, 1: next],
      after: [
        record(.update(round: 0), model: next), record(.update(round: 1), model: start, survivors: ["site0", "site2"]),
        try request(.update(round: 1), of: federation, about: ModelHash.of(start), number: 1),
      ])
    let sites = events.compactMap { event -> String? in
      if case .differing(let site, _) = event { return site }
      return nil
    }
    #expect(sites == ["site1"])
  }

  @Test(arguments: [
    (SumPurpose.means, [1.0, 2, 3, 60], [1.0, 2, 4, 60], "other sums for means"),
    (.means, [1.0, 2, 60], [], "too few of them"), (.means, [1.0, .nan, 3, 60], [], "too few of them"),
    (.classCounts, [1.0, 2], [], "does not have"),
  ])
  func `Pooled sums that change, do not fit or are not the charter's are refused`(
    purpose: SumPurpose, first: [Double], second: [Double], text: String
  ) throws {
    let (federation, _) = try plain(standardize: "pooled")
    let (error, _) = try run(federation) { request in
      if let answers = Self.usual(request, models: [:]) { return answers }
      guard case .introduce = request else { return [] }
      return [first, second].filter { !$0.isEmpty }.map {
        .sums(purpose: purpose, values: Tensor($0, shape: [$0.count]))
      }
    }
    expectLie(error, saying: text)
  }

  @Test func `Counts of classes that are below a site's own are refused`() throws {
    let federation = try SmallFederation(
      task: "classification", aggregation: "plain", settings: ["class_weights: balanced"])
    let work = try federation.work(0)
    try federation.runDirectory(0).store([1, 40], of: .classCounts)
    let start = try work.start()
    let error = #expect(throws: SiteError.self) {
      try work.entries(for: .update(round: 0), model: start) { _, _ in }
    }
    expectLie(error, saying: "below this site's own")
  }

  @Test func `A sum about other pooled statistics than this site was told is refused`() throws {
    let (federation, _) = try plain(standardize: "pooled")
    let told = [1.0, 2, 3, 60]
    let subject = federation.plan.subject(of: .deviations, model: FederationPlan.noModel) { _ in [1.0, 2, 4, 60] }
    let deviations = try request(.deviations, of: federation, about: subject)
    let (error, _) = try run(federation) { request in
      if let answers = Self.usual(request, models: [:]) { return answers }
      guard case .introduce = request else { return [] }
      return [.sums(purpose: .means, values: Tensor(told, shape: [4])), deviations]
    }
    expectLie(error, saying: "other pooled statistics")
  }

  @Test func `A sum in the clear is refused for a round whose sample this site is not in`() throws {
    // Of three sites two are drawn for each round.
    let federation = try SmallFederation(
      rounds: 12, strength: "none", aggregation: "plain", participation: "{minimum: 2, fraction: 0.6}")
    let purpose = try #require(
      (0..<12).map { SumPurpose.update(round: $0) }.first { !federation.plan.cohort(for: $0).contains(0) })
    let asked = try request(purpose, of: federation, about: FederationPlan.noModel)
    let (error, events) = try run(federation) { request in
      if let answers = Self.usual(request, models: [:]) { return answers }
      return request.isIntroduction ? [asked] : []
    }
    expectLie(error, saying: "sites for \(purpose) that the charter does not draw for it")
    #expect(!events.contains { if case .began = $0 { true } else { false } })
  }

  @Test func `A sum in the clear is refused where the charter masks sums`() throws {
    let federation = try SmallFederation()
    let update = try request(.update(round: 0), of: federation, about: FederationPlan.noModel)
    let (error, _) = try run(federation) { request in
      if case .join = request { return [.joined] }
      if case .introduce = request { return [update] }
      return []
    }
    expectLie(error, saying: "in the clear")
  }
}

extension SiteRequest {
  fileprivate var isIntroduction: Bool { if case .introduce = self { true } else { false } }
}
