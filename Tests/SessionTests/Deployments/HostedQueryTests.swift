import Datasets
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import Protocol
import TestSupport
import Testing
import TrainerRole

@testable import OwnerRole

/// Owner and clients against a trainer as it is: what the host in the tests' own memory can only be said to do.
@Suite(.waiting, .timeLimit(.minutes(10))) struct HostedQueryTests {
  private let fixture: DeploymentFixture<Float>
  private let source: ModelSource
  private let new: SmallData

  init() throws {
    fixture = try DeploymentFixture()
    source = try fixture.source(
      try fixture.finishedRun(SmallJob().resolved(on: try SmallData(in: fixture.directory))))
    // 5,000 rows are 20 questions.
    new = try SmallData(in: fixture.directory, rows: 5000, seed: 5)
  }

  private func trainer() -> TrainerHost<Float> {
    TrainerHost(on: fixture.network, store: fixture.directory.url("store"))
  }

  private func expectRight(_ name: String) throws {
    let expected = try PlaintextModel<Float>(source.open()).outputs(new.features).flatMap { $0 }
    let found = try fixture.matrix(name, "outputs")
    #expect(found.count == expected.count)
    #expect(zip(found, expected).allSatisfy { abs(Double($0) - $1) <= 1e-4 })
  }

  /// Its store has all that is needed; the owner is not there.
  @Test func aTrainerThatIsRestartedOnTheWay() throws {
    var host = trainer()
    let deployment = try fixture.deployed(source)
    var restarts = 0
    var losses = 0
    try fixture.query(deployment, new.file, to: "answers.h5", patience: .seconds(60)) { event in
      if case .lost = event { losses += 1 }
      guard case .answered(let rows, _, _) = event, rows > 1000 * (restarts + 1), restarts < 3 else { return }
      restarts += 1
      host.shutDown()
      host = trainer()
    }
    #expect(restarts == 3 && losses >= 1)
    try expectRight("answers.h5")
    #expect(try fixture.host(deployment).status().rows == 5000)
    host.shutDown()
  }

  @Test func aRotationOnTheWay() throws {
    let host = trainer()
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    var keys: [Int] = []
    var rotations = 0
    let report = try fixture.query(deployment, new.file, to: "answers.h5") { event in
      if case .rekeyed(let number) = event { keys.append(number) }
      guard case .answered(let rows, _, _) = event, rows > 1000 * (rotations + 1), rotations < 2 else { return }
      rotations += 1
      do {
        var owned = try Deployment<Float>(opening: deployment.directory, owner: fixture.owner)
        try owned.begin("rotate") { try $0.rotate(nil) }
        try owned.bringIntoForce(at: fixture.host(owned), model: { try source.open() })
      } catch {
        Issue.record(error)
      }
    }
    #expect(keys == [2, 3] && report.keyNumber == 3)
    try expectRight("answers.h5")
    // Copies that nobody is sent to are gone.
    let list = try fixture.host(deployment).list()
    #expect(list.map(\.clientCount) == [2] && list.first?.clients == [])
    #expect(try fixture.host(deployment).status().clients.map(\.keyNumber) == [3, 3])
    // A client that was away for two rotations.
    try fixture.query(deployment, as: 1, new.file, to: "other.h5")
    try expectRight("other.h5")
  }

  @Test func aClientThatIsWithdrawnAndRowsThatAreUsedUp() throws {
    let host = trainer()
    defer { host.shutDown() }
    var deployment = try fixture.deployed(source, maximumRows: 7000)
    try fixture.query(deployment, new.file, to: "answers.h5")
    let used = #expect(throws: OwnerError.self) { try fixture.query(deployment, as: 1, new.file, to: "used.h5") }
    #expect(used?.kind == .refused && used?.description.contains("7000") == true)
    try deployment.begin("clients") { try $0.withdraw("clinic") }
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    let withdrawn = #expect(throws: OwnerError.self) { try fixture.query(deployment, as: 1, new.file, to: "other.h5") }
    #expect(withdrawn?.kind == .refused)
    // A stranger, and an owner who is not its own, see what is not there.
    let stranger = try CurveKeyPair.generate()
    let other = HostedDeployment<Float>(
      channel: fixture.network.connect(stranger.ownerKey), deployment: deployment.record.id, options: fixture.options)
    #expect(throws: OwnerError.self) { _ = try other.status() }
    #expect(try other.list().isEmpty)
    try fixture.host(deployment).undeploy()
    #expect(try fixture.host(deployment).list().isEmpty)
    #expect(throws: OwnerError.self) { try fixture.query(deployment, new.file, to: "gone.h5") }
  }

  private func storedJobs() -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: fixture.directory.url("store/jobs").path)) ?? []
  }

  private func expectNoJobs() throws {
    let deadline = ContinuousClock.now + .seconds(120)
    while !storedJobs().isEmpty, ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.02) }
    #expect(storedJobs().isEmpty)
  }

  /// A deployment that was uploaded and never came into force, and a rotation of one: nothing of them stays when they are taken down.
  @Test(arguments: [false, true]) func aChangeThatIsKilledAndTakenDown(isRotation: Bool) throws {
    let host = trainer()
    defer { host.shutDown() }
    var deployment =
      isRotation
      ? try fixture.deployed(source, separateKeys: true) : try fixture.newDeployment(of: source, separateKeys: true)
    if isRotation { try deployment.begin("rotate") { try $0.rotate(nil) } }
    // Until one copy is whole and the other one begun.
    let before = isRotation ? 2 : 0
    for operations in 3... {
      guard storedJobs().count < before + 2 else { break }
      deployment = try Deployment(opening: deployment.directory, owner: fixture.owner)
      let place = HostedDeployment<Float>(
        channel: MortalChannel(fixture.network.connect(fixture.owner.ownerKey), operations: operations),
        deployment: deployment.record.id, options: fixture.options)
      #expect(throws: TransportError.self) {
        try deployment.bringIntoForce(at: place, model: { try source.open() })
      }
    }
    deployment = try Deployment(opening: deployment.directory, owner: fixture.owner)
    #expect(deployment.record.isPending)
    #expect(try deployment.takeDown(at: fixture.host(deployment)))
    try expectNoJobs()
    #expect(deployment.record.isTakenDown && !deployment.directory.root.appending(path: "keys/1.key").isThere)
  }

  @Test func aDeployThatIsKilledIsTakenUpByTheTrainerToo() throws {
    let host = trainer()
    defer { host.shutDown() }
    let first = try fixture.newDeployment(of: source, separateKeys: true)
    for operations in stride(from: 3, through: 300, by: 7) {
      var deployment = try Deployment<Float>(opening: first.directory, owner: fixture.owner)
      let place = HostedDeployment<Float>(
        channel: MortalChannel(fixture.network.connect(fixture.owner.ownerKey), operations: operations),
        deployment: deployment.record.id, options: fixture.options)
      do {
        try deployment.bringIntoForce(at: place, checkingAll: true, model: { try source.open() })
        break
      } catch TransportError.closed {
        continue
      }
    }
    #expect(try first.directory.load().inForce == 1)
    for client in fixture.clients { try fixture.handOut(client.name, of: first) }
    for client in 0..<2 {
      try fixture.query(first, as: client, new.file, to: "answers-\(client).h5")
      try expectRight("answers-\(client).h5")
    }
  }
}
