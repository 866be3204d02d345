import Federation
import Foundation
import Foundations
import Masking
import Numerics
import OwnerRole
import Protocol
import TestSupport
import Testing

@testable import SiteRole

/// Site and provider killed in a round of each rule of local steps: the same vector as if nothing had happened.
@Suite(.waiting) struct ProviderRuleRecoveryTests {
  enum Rule: CaseIterable, Sendable {
    case fedprox
    case scaffold
    case schedule
    case privacyOfRecords
  }

  /// A round of one site under a rule, in as many runs as are asked for, all of one key and one secret.
  private struct Stage {
    let federation: SmallFederation
    let rule: Rule
    let expected: [UInt64]

    init(_ rule: Rule) throws {
      self.rule = rule
      let updates = "{updates: 12}"
      federation =
        switch rule {
        case .fedprox:
          try SmallFederation(local: updates, strategy: "{name: fedprox, mu: 0.4, weighting: rows}", hidden: "[3]")
        case .scaffold:
          try SmallFederation(local: updates, strategy: "{name: scaffold, weighting: rows}", hidden: "[3]")
        case .schedule: try SmallFederation(local: updates, hidden: "[3]", schedule: "{warmup: 0.7, decay: linear}")
        case .privacyOfRecords:
          // 2 rows of 32, so that some batches are empty.
          try PrivacyFixture.federation(
            unit: "record", privacy: "clip_norm: 0.4, epsilon: 4, delta: 1.0e-2", local: updates, strength: "rotation",
            hidden: "[3]", batch: 2)
        }
      let host = ProviderHost<Float>(federation.directory)
      defer { host.shutDown() }
      let work = try Self.work(federation, "first", host.provider(of: federation, 1))
      expected = try Self.vector(work, rule)
    }

    func vector(
      _ run: String, resuming: Bool = false, _ provider: TrainingProvider,
      progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> [UInt64] {
      try Self.vector(Self.work(federation, run, resuming: resuming, provider), rule, progress: progress)
    }

    private static func work(
      _ federation: SmallFederation, _ run: String, resuming: Bool = false, _ provider: TrainingProvider
    ) throws -> SiteWork {
      let work = try federation.work(
        1, secret: PrivacyFixture.secret(1), run: run, resuming: resuming, provider: provider, masking: "rotation")
      let key = "state/provider"
      let first = federation.runDirectory(1, run: "first").run.root.appending(path: key)
      let own = federation.runDirectory(1, run: run).run.root.appending(path: key)
      let manager = FileManager.default
      if manager.fileExists(atPath: first.path), !manager.fileExists(atPath: own.path) {
        try manager.createDirectory(at: own, withIntermediateDirectories: true)
        try manager.copyItem(at: first.appending(path: "job.key"), to: own.appending(path: "job.key"))
      }
      return work
    }

    /// Round 1 of 2, from a model, and for scaffold from control variates of all sites, that are not zeros.
    private static func vector(
      _ work: SiteWork, _ rule: Rule, progress: (Int, Int) throws -> Void = { _, _ in }
    ) throws -> [UInt64] {
      let start = try work.start()
      let controls = rule == .scaffold ? start.indices.map { 0.01 * Float($0 % 7) - 0.03 } : []
      return try work.entries(for: .update(round: 1), model: start + controls, progress: progress)
    }
  }

  @Test(arguments: Rule.allCases)
  func `A site that is killed anywhere in a round makes the same vector when it is back`(_ rule: Rule) throws {
    let stage = try Stage(rule)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    var kills = 0
    for operations in stride(from: 1, to: 400, by: 11) {
      let run = "killed-\(operations)-"
      do {
        #expect(try stage.vector(run, host.provider(of: stage.federation, 1, operations: operations)) == stage.expected)
        break
      } catch TransportError.closed {
        kills += 1
      }
      #expect(try stage.vector(run, resuming: true, host.provider(of: stage.federation, 1)) == stage.expected)
      #expect(host.jobs.isEmpty, "after \(operations) operations")
    }
    #expect(kills >= 5)
  }

  @Test(arguments: Rule.allCases, [2, 9])
  func `A provider that is killed in a round and comes back changes nothing`(_ rule: Rule, step: Int) throws {
    let stage = try Stage(rule)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    var isKilled = false
    let found = try stage.vector("disturbed", host.provider(of: stage.federation, 1)) { done, _ in
      guard !isKilled, done >= step else { return }
      isKilled = true
      host.kill()
      host.start()
    }
    #expect(isKilled)
    #expect(found == stage.expected)
    #expect(host.jobs.isEmpty)
  }

  private struct Elsewhere: Error {}

  /// A round that is left is saved there: what goes on reads its checkpoint, and what corrections need.
  @Test(arguments: Rule.allCases)
  func `A round that is left in its midst, at a provider that is then killed, goes on to the same vector`(
    _ rule: Rule
  ) throws {
    let stage = try Stage(rule)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    #expect(throws: Elsewhere.self) {
      try stage.vector("left", host.provider(of: stage.federation, 1)) { done, _ in
        if done == 5 { throw Elsewhere() }
      }
    }
    #expect(host.jobs.count == 1)
    host.kill()
    host.start()
    var first: Int?
    let found = try stage.vector("left", resuming: true, host.provider(of: stage.federation, 1)) { done, _ in
      if done > 0 { first = first ?? done }
    }
    #expect(found == stage.expected)
    #expect((first ?? 0) > 5, "no step is made again")
    #expect(host.jobs.isEmpty)
  }

  /// A pull goes to what was uploaded, offsets are what was uploaded: a file of these that is damaged is found before a step is made with it.
  @Test(arguments: [Rule.fedprox, .scaffold])
  func `A damaged file of what corrections need is refused, and the round is not made without`(_ rule: Rule) throws {
    let stage = try Stage(rule)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    #expect(throws: Elsewhere.self) {
      try stage.vector("left", host.provider(of: stage.federation, 1)) { done, _ in
        if done == 5 { throw Elsewhere() }
      }
    }
    host.kill()
    let file = try #require(host.files.first { $0.lastPathComponent == "corrections.safetensors" })
    var bytes = try Data(contentsOf: file)
    bytes[bytes.count - 2] ^= 0x40
    try bytes.write(to: file)
    host.start()
    let error = #expect(throws: SiteError.self) {
      try stage.vector("left", resuming: true, host.provider(of: stage.federation, 1))
    }
    #expect(error?.kind == .refused)
    #expect(error?.description.contains("damaged") == true, "\(String(describing: error))")
  }
}
