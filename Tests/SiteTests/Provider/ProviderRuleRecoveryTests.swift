import Federation
import Foundation
import Foundations
import Masking
import Numerics
import OwnerRole
import Protocol
import Synchronization
import TestSupport
import Testing

@testable import SiteRole

/// Site and provider killed in a round of each rule of local steps: the same vector as if nothing had happened.
@Suite(.waiting) struct ProviderRuleRecoveryTests {
  @Test(arguments: ProviderStage.Rule.allCases)
  func `A site that is killed anywhere in a round makes the same vector when it is back`(_ rule: ProviderStage.Rule)
    throws
  {
    let stage = try ProviderStage(rule)
    let expected = try stage.undisturbed()
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    var kills = 0
    for operations in stride(from: 1, to: 400, by: 11) {
      let run = "killed-\(operations)-"
      do {
        #expect(try stage.vector(run, host.provider(of: stage.federation, 1, operations: operations)) == expected)
        break
      } catch TransportError.closed {
        kills += 1
      }
      #expect(try stage.vector(run, resuming: true, host.provider(of: stage.federation, 1)) == expected)
      #expect(host.jobs.isEmpty, "after \(operations) operations")
    }
    #expect(kills >= 5)
  }

  @Test(arguments: ProviderStage.Rule.allCases, [1, 7, 12])
  func `A provider that is killed in a round and comes back changes nothing`(
    _ rule: ProviderStage.Rule, step: Int
  ) throws {
    let stage = try ProviderStage(rule)
    let expected = try stage.undisturbed()
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    let events = Mutex<[String]>([])
    let provider = host.provider(of: stage.federation, 1) { event in
      switch event {
      case .trainerLost: events.withLock { $0.append("lost") }
      case .trainerBack: events.withLock { $0.append("back") }
      default: break
      }
    }
    var isKilled = false
    let found = try stage.vector("disturbed", provider) { done, total in
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

  /// A round that is left is saved there: what goes on reads its checkpoint, and what corrections need.
  @Test(arguments: ProviderStage.Rule.allCases)
  func `A round that is left in its midst, at a provider that is then killed, goes on to the same vector`(
    _ rule: ProviderStage.Rule
  ) throws {
    let stage = try ProviderStage(rule)
    let expected = try stage.undisturbed()
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    #expect(throws: ProviderStage.Elsewhere.self) {
      try stage.vector("left", host.provider(of: stage.federation, 1)) { done, _ in
        if done == 5 { throw ProviderStage.Elsewhere() }
      }
    }
    #expect(host.jobs.count == 1)
    host.kill()
    host.start()
    var first: Int?
    let found = try stage.vector("left", resuming: true, host.provider(of: stage.federation, 1)) { done, _ in
      if done > 0 { first = first ?? done }
    }
    #expect(found == expected)
    #expect((first ?? 0) > 5, "no step is made again")
    #expect(host.jobs.isEmpty)
  }

  /// A pull goes to what was uploaded, offsets are what was uploaded: a file of these that is damaged is found before a step is made with it.
  @Test(arguments: [ProviderStage.Rule.fedprox, .scaffold])
  func `A damaged file of what corrections need is refused, and the round is not made without`(
    _ rule: ProviderStage.Rule
  ) throws {
    let stage = try ProviderStage(rule)
    let host = ProviderHost<Float>(try TemporaryDirectory())
    defer { host.shutDown() }
    #expect(throws: ProviderStage.Elsewhere.self) {
      try stage.vector("left", host.provider(of: stage.federation, 1)) { done, _ in
        if done == 5 { throw ProviderStage.Elsewhere() }
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
