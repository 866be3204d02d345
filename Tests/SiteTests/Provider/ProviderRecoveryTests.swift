import Federation
import Foundation
import Foundations
import Masking
import Models
import Numerics
import OwnerRole
import Protocol
import Synchronization
import TestSupport
import Testing

@testable import SiteRole

/// A site and its provider killed and lost at any moment of a round: the same vector as if nothing had happened, and no job left behind.
@Suite(.waiting) struct ProviderRecoveryTests {
  private let federation: SmallFederation

  init() throws {
    federation = try SmallFederation(local: "{updates: 12}", standardize: "none")
  }

  /// A run of site 1, under the key that the first one drew if there was one.
  private func work(_ run: String, resuming: Bool = false, _ provider: TrainingProvider) throws -> SiteWork {
    let work = try federation.work(1, run: run, resuming: resuming, provider: provider, masking: "rotation")
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

  private func vector(
    _ work: SiteWork, round: Int = 0, progress: (Int, Int) throws -> Void = { _, _ in }
  ) throws -> [UInt64] {
    try work.entries(for: .update(round: round), model: try work.start(), progress: progress)
  }

  /// What nothing disturbed.
  private func undisturbed() throws -> [UInt64] {
    let host = ProviderHost<Float>(federation.directory)
    defer { host.shutDown() }
    return try vector(work("first", host.provider(of: federation, 1)))
  }

  @Test func `A site that is killed anywhere in a round makes the same vector when it is back`() throws {
    let expected = try undisturbed()
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    var kills = 0
    for operations in stride(from: 1, to: 400, by: 7) {
      let run = "killed-\(operations)-"
      do {
        let found = try vector(work(run, host.provider(of: federation, 1, operations: operations)))
        #expect(found == expected)
        break
      } catch TransportError.closed {
        kills += 1
      }
      #expect(try vector(work(run, resuming: true, host.provider(of: federation, 1))) == expected)
      #expect(host.jobs.isEmpty, "after \(operations) operations")
    }
    #expect(kills >= 10)
  }

  @Test(arguments: [1, 3, 7, 12])
  func `A provider that is killed in a round and comes back changes nothing`(step: Int) throws {
    let expected = try undisturbed()
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let events = Mutex<[String]>([])
    let provider = host.provider(of: federation, 1) { event in
      switch event {
      case .trainerLost: events.withLock { $0.append("lost") }
      case .trainerBack: events.withLock { $0.append("back") }
      default: break
      }
    }
    var isKilled = false
    let found = try vector(work("disturbed", provider)) { done, total in
      #expect(total == 12)
      guard !isKilled, done >= step else { return }
      isKilled = true
      host.kill()
      host.start()
    }
    #expect(isKilled)
    #expect(found == expected)
    #expect(host.jobs.isEmpty)
    #expect(events.withLock { $0 }.prefix(2) == ["lost", "back"])
  }

  private struct Elsewhere: Error {}

  @Test func `What ends a round from outside leaves its job to be gone on with`() throws {
    let expected = try undisturbed()
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let work = try work("interrupted", host.provider(of: federation, 1))
    #expect(throws: Elsewhere.self) {
      try vector(work) { done, _ in
        if done == 5 { throw Elsewhere() }
      }
    }
    #expect(host.jobs.count == 1)
    var first: Int?
    let found = try vector(work) { done, _ in
      if done > 0 { first = first ?? done }
    }
    #expect(found == expected)
    // Saved when it was left: no step is made again.
    #expect((first ?? 0) > 5)
    #expect(host.jobs.isEmpty)
  }

  @Test func `A round that another one takes the place of is removed at the provider`() throws {
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let work = try work("left", host.provider(of: federation, 1))
    #expect(throws: Elsewhere.self) {
      try vector(work) { done, _ in
        if done == 5 { throw Elsewhere() }
      }
    }
    #expect(host.jobs.count == 1)
    _ = try vector(work, round: 1)
    #expect(host.jobs.isEmpty)
  }

  @Test func `A round that was broken off is removed at the provider when nothing more is asked for`() throws {
    let host = ProviderHost<Float>(try TemporaryDirectory())
    let work = try work("ended", host.provider(of: federation, 1))
    #expect(throws: Elsewhere.self) {
      try vector(work) { done, _ in
        if done == 5 { throw Elsewhere() }
      }
    }
    #expect(host.jobs.count == 1)
    try work.localTraining().end()
    #expect(host.jobs.isEmpty)
    #expect(throws: Elsewhere.self) {
      try vector(work) { done, _ in
        if done == 5 { throw Elsewhere() }
      }
    }
    // A provider that is away by then does not keep the site from its result.
    host.shutDown()
    try work.localTraining().end()
  }

  @Test func `A provider that lost its store is sent everything again`() throws {
    let expected = try undisturbed()
    let first = ProviderHost<Float>(try TemporaryDirectory())
    #expect(throws: Elsewhere.self) {
      try vector(work("moved", first.provider(of: federation, 1))) { done, _ in
        if done == 5 { throw Elsewhere() }
      }
    }
    first.shutDown()
    let second = ProviderHost<Float>(try TemporaryDirectory())
    defer { second.shutDown() }
    #expect(try vector(work("moved", resuming: true, second.provider(of: federation, 1))) == expected)
  }

  @Test func `A provider that is away for longer than the site's patience ends the site, which can go on`() throws {
    let expected = try undisturbed()
    let host = ProviderHost<Float>(try TemporaryDirectory(), isStarted: false)
    let said = Mutex(0)
    let provider = host.provider(of: federation, 1, patience: .seconds(1)) { event in
      if case .waitingForTrainer = event { said.withLock { $0 += 1 } }
    }
    let error = #expect(throws: SiteError.self) { try vector(work("waiting", provider)) }
    #expect(error?.kind == .unreachable)
    #expect(error?.description.contains("continue with --resume") == true)
    #expect(said.withLock { $0 } == 1)
    host.start()
    defer { host.shutDown() }
    #expect(try vector(work("waiting", resuming: true, host.provider(of: federation, 1))) == expected)
  }

  @Test func `What a provider refuses is said to be the provider's refusal`() throws {
    let host = ProviderHost<Float>(try TemporaryDirectory(), memoryLimit: 1)
    defer { host.shutDown() }
    let error = #expect(throws: SiteError.self) { try vector(work("refused", host.provider(of: federation, 1))) }
    #expect(error?.kind == .refused)
    #expect(error?.description.contains("of memory") == true)
    #expect(error?.description.hasPrefix("the provider (trainer:) refuses: ") == true)
  }

  @Test func `Other masks than a run began with are refused`() throws {
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    _ = try vector(work("first", host.provider(of: federation, 1)))
    let other = try federation.work(
      1, run: "first", resuming: true, provider: host.provider(of: federation, 1), masking: "permutation")
    let error = #expect(throws: OwnerError.self) { try vector(other) }
    #expect(error?.kind == .usage)
    #expect(error?.description.contains("begun with other masking") == true)
  }

  @Test func `A provider goes with a site file that names one, and such a file with a provider`() throws {
    let host = ProviderHost<Float>(try TemporaryDirectory(), isStarted: false)
    #expect(throws: SiteError.self) { try federation.work(0, run: "a", provider: host.provider(of: federation, 0)) }
    #expect(throws: SiteError.self) { try federation.work(0, run: "b", masking: "rotation") }
  }

  @Test func `The key and the names of jobs are readable by this user alone`() throws {
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    _ = try vector(work("first", host.provider(of: federation, 1)))
    let directory = federation.runDirectory(1, run: "first").run.state.appending(path: "provider")
    for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
      let attributes = try FileManager.default.attributesOfItem(atPath: directory.appending(path: name).path)
      #expect((attributes[.posixPermissions] as? Int ?? 0o777) & 0o077 == 0, "\(name)")
    }
  }
}
