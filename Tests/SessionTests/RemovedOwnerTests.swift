import Models
import Foundations
import Foundation
import OwnerRole
import Testing
import TestSupport
import Protocol

@testable import Service
@testable import TrainerRole

/// An owner that leaves the list while its job runs.
@Suite(.waiting, .timeLimit(.minutes(10))) struct RemovedOwnerTests {
  /// The "an owner removed from the authorized file mid-job".
  @Test(arguments: [LossLocation.owner, .trainer])
  func anOwnerRemovedFromTheAuthorizedFileMidJob(_ loss: LossLocation) throws {
    let site = try Site<Float>()
    let listed = AuthorizedKeys([site.keys.ownerKey])
    let owners = ServedOwners(listed)
    let trainer = site.trainer(owners: owners, hasEventLog: true)
    defer { trainer.shutDown() }
    let run = try site.run(
      SmallJob().changing {
        $0.loss = loss; $0.epochs = 200
      })
    let undisturbed = try site.undisturbed(run)
    var isRemoved = false
    let error = #expect(throws: OwnerError.self) {
      try run.execute(over: site.network.connect(site.keys.ownerKey)) { event in
        guard case .progress(.step(step: 9, _, _, _, _), _) = event, !isRemoved else { return }
        isRemoved = true
        owners.replace(with: AuthorizedKeys([]))
      }
    }
    #expect(error?.kind == .refused)
    #expect(error?.description.contains("not listed") == true)
    // Stopped after a whole step and saved there.
    let deadline = ContinuousClock.now + .seconds(120)
    while trainer.events.pauses.isEmpty, ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.01) }
    let paused = try #require(trainer.events.pauses.first)
    // 36 training rows in batches of 8 are 5 steps an epoch.
    #expect(paused >= 10 && paused < 200 * 5)
    #expect(trainer.events.checkpoints.last == paused)
    // Nothing more is done for it.
    let stranger = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    #expect(try stranger.refusal(of: .submit(RawJob<Float>().description)).reason.contains("not listed"))
    #expect(trainer.events.finished == 0)
    owners.replace(with: listed)
    try run.reopened().execute(on: site.network)
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
    let log = try String(contentsOf: trainer.store.appending(path: "audit.log"), encoding: .utf8)
    for event in ["suspended", "owners_read", "refused", "resumed", "released"] {
      #expect(log.contains("\"event\":\"\(event)\""), "\(event)")
    }
  }

  /// What needs no owner goes on by itself when its owner is listed again, and not before, nor after a restart.
  @Test func aDetachedJobWaitsWhileItsOwnerIsNotListed() throws {
    let site = try Site<Float>()
    let run = try site.run(
      SmallJob().changing {
        $0.loss = .trainer; $0.epochs = 40
      })
    let undisturbed = try site.undisturbed(run)
    let listed = AuthorizedKeys([site.keys.ownerKey])
    let owners = ServedOwners(listed)
    let first = site.trainer(owners: owners)
    try run.execute(over: site.network.connect(site.keys.ownerKey), detach: true)
    owners.replace(with: AuthorizedKeys([]))
    first.shutDown()
    let left = first.events.finished
    let restarted = ServedOwners(AuthorizedKeys([]))
    let second = site.trainer(owners: restarted)
    defer { second.shutDown() }
    Thread.sleep(forTimeInterval: 0.5)
    #expect(second.events.finished == 0)
    restarted.replace(with: listed)
    try run.reopened().execute(on: site.network)
    #expect(left + second.events.finished == 1)
    #expect(try run.model() == undisturbed.model())
  }

  @Test func otherOwnersAreNotDisturbed() throws {
    let site = try Site<Float>()
    let other = try CurveKeyPair.generate().ownerKey
    let owners = ServedOwners(AuthorizedKeys([site.keys.ownerKey, other]))
    let trainer = site.trainer(owners: owners)
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob())
    let undisturbed = try site.undisturbed(run)
    try run.execute(over: site.network.connect(site.keys.ownerKey)) { event in
      guard case .progress(.step(step: 4, _, _, _, _), _) = event else { return }
      owners.replace(with: AuthorizedKeys([site.keys.ownerKey]))
    }
    #expect(try run.model() == undisturbed.model())
    #expect(trainer.events.pauses.isEmpty)
  }
}
