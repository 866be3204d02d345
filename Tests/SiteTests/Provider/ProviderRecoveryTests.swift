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

/// A round that is broken off, or whose provider is lost: gone on with to the same vector, and no job left behind.
@Suite(.waiting) struct ProviderRecoveryTests {
  private let stage: ProviderStage

  private var federation: SmallFederation { stage.federation }

  init() throws {
    stage = try ProviderStage(.fedavg)
  }

  @Test func `What ends a round from outside leaves its job to be gone on with`() throws {
    let expected = try stage.undisturbed()
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let work = try stage.work("interrupted", host.provider(of: federation, 1))
    #expect(throws: ProviderStage.Elsewhere.self) {
      try stage.vector(work) { done, _ in
        if done == 5 { throw ProviderStage.Elsewhere() }
      }
    }
    #expect(host.jobs.count == 1)
    var first: Int?
    let found = try stage.vector(work) { done, _ in
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
    let work = try stage.work("left", host.provider(of: federation, 1))
    #expect(throws: ProviderStage.Elsewhere.self) {
      try stage.vector(work) { done, _ in
        if done == 5 { throw ProviderStage.Elsewhere() }
      }
    }
    #expect(host.jobs.count == 1)
    _ = try stage.vector(work, round: 0)
    #expect(host.jobs.isEmpty)
  }

  @Test func `A round that was broken off is removed at the provider when nothing more is asked for`() throws {
    let host = ProviderHost<Float>(try TemporaryDirectory())
    let work = try stage.work("ended", host.provider(of: federation, 1))
    #expect(throws: ProviderStage.Elsewhere.self) {
      try stage.vector(work) { done, _ in
        if done == 5 { throw ProviderStage.Elsewhere() }
      }
    }
    #expect(host.jobs.count == 1)
    try work.localTraining().end()
    #expect(host.jobs.isEmpty)
    #expect(throws: ProviderStage.Elsewhere.self) {
      try stage.vector(work) { done, _ in
        if done == 5 { throw ProviderStage.Elsewhere() }
      }
    }
    // A provider that is away by then does not keep the site from its result.
    host.shutDown()
    try work.localTraining().end()
  }

  @Test func `A provider that lost its store is sent everything again`() throws {
    let expected = try stage.undisturbed()
    let first = ProviderHost<Float>(try TemporaryDirectory())
    #expect(throws: ProviderStage.Elsewhere.self) {
      try stage.vector(stage.work("moved", first.provider(of: federation, 1))) { done, _ in
        if done == 5 { throw ProviderStage.Elsewhere() }
      }
    }
    first.shutDown()
    let second = ProviderHost<Float>(try TemporaryDirectory())
    defer { second.shutDown() }
    #expect(try stage.vector(stage.work("moved", resuming: true, second.provider(of: federation, 1))) == expected)
  }

  @Test func `A provider that is away for longer than the site's patience ends the site, which can go on`() throws {
    let expected = try stage.undisturbed()
    let host = ProviderHost<Float>(try TemporaryDirectory(), isStarted: false)
    let said = Mutex(0)
    let provider = host.provider(of: federation, 1, patience: .seconds(1)) { event in
      if case .waitingForTrainer = event { said.withLock { $0 += 1 } }
    }
    let error = #expect(throws: SiteError.self) { try stage.vector(stage.work("waiting", provider)) }
    #expect(error?.kind == .unreachable)
    #expect(error?.description.contains("continue with --resume") == true)
    #expect(said.withLock { $0 } == 1)
    host.start()
    defer { host.shutDown() }
    #expect(try stage.vector(stage.work("waiting", resuming: true, host.provider(of: federation, 1))) == expected)
  }

  @Test func `What a provider refuses is said to be the provider's refusal`() throws {
    let host = ProviderHost<Float>(try TemporaryDirectory(), memoryLimit: 1)
    defer { host.shutDown() }
    let error = #expect(throws: SiteError.self) {
      try stage.vector(stage.work("refused", host.provider(of: federation, 1)))
    }
    #expect(error?.kind == .refused)
    #expect(error?.description.contains("of memory") == true)
    #expect(error?.description.hasPrefix("the provider (trainer:) refuses: ") == true)
  }

  @Test func `Other masks than a run began with are refused`() throws {
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    _ = try stage.vector(stage.work("first", host.provider(of: federation, 1)))
    let other = try federation.work(
      1, run: "first", resuming: true, provider: host.provider(of: federation, 1), masking: "permutation")
    let error = #expect(throws: OwnerError.self) { try stage.vector(other) }
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
    _ = try stage.vector(stage.work("first", host.provider(of: federation, 1)))
    let directory = federation.runDirectory(1, run: "first").run.state.appending(path: "provider")
    for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
      let attributes = try FileManager.default.attributesOfItem(atPath: directory.appending(path: name).path)
      #expect((attributes[.posixPermissions] as? Int ?? 0o777) & 0o077 == 0, "\(name)")
    }
  }
}
