import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import Protocol
import Synchronization
import TestSupport
import Testing

@testable import OwnerRole

/// A client's directory: keys that are put back, numbers that cannot be, and one process at a time.
@Suite(.waiting, .timeLimit(.minutes(5))) struct ClientDirectoryTests {
  private let fixture: DeploymentFixture<Float>
  private let source: ModelSource
  private let data: SmallData

  init() throws {
    fixture = try DeploymentFixture()
    data = try SmallData(in: fixture.directory)
    source = try fixture.source(try fixture.finishedRun(SmallJob().resolved(on: data)))
  }

  private func expectRight(_ name: String) throws {
    let expected = try PlaintextModel<Float>(source.open()).outputs(data.features).flatMap { $0 }
    let found = try fixture.matrix(name, "outputs")
    #expect(found.count == expected.count)
    #expect(zip(found, expected).allSatisfy { abs(Double($0) - $1) <= 1e-4 })
  }

  /// A masking key from before a rotation beside a client.json from after it, and the other way round, as a kill between the two leaves them:
  /// answers are right, and the directory is whole again.
  @Test(arguments: ["masking.key", "client.json"]) func aKeyOfAnotherNumber(_ file: String) throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    var deployment = try fixture.deployed(source)
    let ward = fixture.given("ward")
    let place = ward.root.appending(path: file)
    let before = try Data(contentsOf: place)
    try deployment.begin("rotate") { try $0.rotate(nil) }
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    try fixture.query(deployment, data.file, to: "first.h5")
    #expect(try ward.load().keyNumber == 2)
    try before.write(to: place)
    chmod(place.path, 0o600)
    try fixture.query(deployment, data.file, to: "second.h5")
    try expectRight("second.h5")
    let (description, key) = (try ward.load(), try ward.key(of: deployment.record.id))
    #expect(description.keyNumber == 2 && description.keyCheck == key.check)
    #expect(try key.check == deployment.directory.key(2, of: deployment.record.id).check)
  }

  /// One of the version before has no check, and is taken as it is.
  @Test func aDirectoryOfTheVersionBefore() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    for file in [fixture.given("ward").description, deployment.directory.record] {
      let text = try String(contentsOf: file, encoding: .utf8)
      let before = text.replacing(#/"keyCheck" : "[0-9a-f]*",/#, with: "")
      try Data(before.replacing(#/,\s*"weights" : "[0-9a-f]*"/#, with: "").utf8).write(to: file)
    }
    #expect(try deployment.directory.load().weights == nil)
    #expect(try fixture.given("ward").load().keyCheck == nil)
    try fixture.query(deployment, data.file, to: "answers.h5")
    try expectRight("answers.h5")
    var opened = try Deployment<Float>(opening: deployment.directory, owner: fixture.owner)
    try opened.begin("rotate") { try $0.rotate(nil) }
    try opened.bringIntoForce(at: fixture.host(opened), model: { try source.open() })
    try fixture.query(deployment, data.file, to: "again.h5")
    try expectRight("again.h5")
    #expect(try fixture.given("ward").load().keyCheck != nil)
  }

  @Test func aCheckTellsNothingOfTheKey() {
    let (key, other) = (MasterKey(for: .random()), MasterKey(for: .random()))
    #expect(key.check == key.check && key.check != other.check && key.check.count == 64)
  }

  // MARK: - Numbers

  /// Sizes that would be added or multiplied: refused as what they are.
  @Test(arguments: ["features", "padding", "keyNumber", "width", "outputs", "rows"])
  func numbersThatCannotBe(_ name: String) throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    var run = try RunState.load(RunDirectory(root: fixture.directory.url("run")))
    run.trainerKey = fixture.hostKey.z85
    try run.save(RunDirectory(root: fixture.directory.url("run")))
    let deployment = try fixture.deployed(source)
    for file in [fixture.given("ward").description, deployment.directory.record] {
      let text = try String(contentsOf: file, encoding: .utf8)
      let changed =
        name == "rows"
        ? text.replacing(#/"training" : \{[^}]*\}/#, with: "\"training\" : {\"rows\" : 9223372036854775807}")
        : text.replacing(try Regex("\"\(name)\" : [0-9]+"), with: "\"\(name)\" : 9223372036854775807")
      #expect(changed != text)
      try Data(changed.utf8).write(to: file)
    }
    let client = #expect(throws: OwnerError.self) { _ = try fixture.given("ward").load() }
    #expect(client?.kind == .usage && client?.description.contains("ask the deployment's owner") == true)
    let owner = #expect(throws: OwnerError.self) { _ = try deployment.directory.load() }
    #expect(owner?.kind == .usage && owner?.description.contains("put a copy of it back") == true)
  }

  @Test func numbersOfQuestionsEnd() throws {
    let directory = ClientDirectory(root: fixture.directory.url("numbers"))
    try Directory.create(directory.root.path)
    #expect(try directory.takeNumbers(5, after: 0) == 1)
    #expect(try directory.takeNumbers(5, after: 3) == 6)
    #expect(try directory.takeNumbers(1, after: 1 << 50) == 1 << 50 + 1)
    #expect(throws: OwnerError.self) { _ = try directory.takeNumbers(1 << 52, after: 0) }
    #expect(throws: OwnerError.self) { _ = try directory.takeNumbers(1, after: .max) }
    // Nothing of these was written.
    #expect(try directory.takeNumbers(1, after: 0) == 1 << 50 + 2)
  }

  @Test func termsThatCannotBe() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    let asking = try DeploymentClient<Float>(
      fixture.given("ward"), own: fixture.clients[0].keys, compute: Compute(threads: 1))
    let good = DeploymentTerms(
      keyNumber: 1, package: Data(), window: 8, rowsPerQuestion: 4, maximumTokens: nil, rowsSeen: 1 << 50,
      maximumRows: nil, lastQuestion: 1 << 50)
    #expect(try !asking.adopt(good))
    for change: (inout DeploymentTerms) -> Void in [
      { $0.window = 0 }, { $0.rowsPerQuestion = 0 }, { $0.maximumTokens = 0 }, { $0.rowsSeen = -1 },
      { $0.rowsSeen = .max }, { $0.lastQuestion = -1 }, { $0.lastQuestion = 1 << 52 }, { $0.lastSession = 1 << 52 },
    ] {
      var terms = good
      change(&terms)
      #expect(throws: OwnerError.self) { _ = try asking.adopt(terms) }
    }
    // A window of any size is used as far as there is memory for it.
    host.state.withLock { ($0.window, $0.rowsPerQuestion, $0.isWatching) = (.max, 1, true) }
    let new = try SmallData(in: fixture.directory, rows: 200, seed: 5)
    let channel = MortalChannel(fixture.network.connect(fixture.clients[0].keys.ownerKey), operations: 150)
    #expect(throws: TransportError.closed) {
      // What is answered while it asks is not read before it has asked as much as it may.
      try fixture.query(deployment, new.file, to: "answers.h5", over: channel)
    }
    #expect(host.state.withLock { $0.seen.count } < 110)
  }

  // MARK: - One process at a time

  /// Another process has written its lease over this one's: the next renewal, after some seconds, finds it.
  @Test func aDirectoryThatWasTakenOver() throws {
    let deployment = try fixture.newDeployment(of: source)
    let client = ClientDirectory(root: fixture.directory.url("client"))
    try Directory.create(client.root.path)
    let lost = Mutex<[String]>([])
    let leases = [
      try deployment.directory.lease(
        waiting: { _ in }, onLoss: { error in lost.withLock { $0.append(error.description) } }),
      try client.lease(waiting: { _ in }, onLoss: { error in lost.withLock { $0.append(error.description) } }),
    ]
    defer { for lease in leases { lease.release() } }
    let held = #expect(throws: OwnerError.self) { _ = try client.lease(waiting: { _ in }, onLoss: { _ in }) }
    #expect(held?.kind == .usage && held?.description.contains("is in use by process") == true)
    #expect(held?.description.contains("copy the directory") == false, "two copies would use the same numbers")
    for place in [
      deployment.directory.root.appending(path: "deployment.lease"), client.root.appending(path: "client.lease"),
    ] {
      let text = try String(contentsOf: place, encoding: .utf8)
      try Data(text.replacing(#/"token":[0-9]+/#, with: "\"token\":12345").utf8).write(to: place)
    }
    let deadline = ContinuousClock.now + .seconds(60)
    while lost.withLock({ $0.count < 2 }), ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.05) }
    #expect(lost.withLock { $0.count == 2 && $0.allSatisfy { $0.contains("taken the") } })
  }
}
