import Datasets
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

/// Changes of a deployment at its owner: killed and taken up, under other names, with other weights, among what else lies there.
@Suite(.waiting, .timeLimit(.minutes(10))) struct DeploymentChangeTests {
  private let fixture: DeploymentFixture<Float>
  private let data: SmallData

  init() throws {
    fixture = try DeploymentFixture()
    data = try SmallData(in: fixture.directory)
  }

  /// Killed after every number of operations on the connection, and run again: one deployment, with each copy uploaded once it is whole.
  @Test func aDeployThatIsKilledIsTakenUp() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let source = try fixture.rowSource(data)
    let first = try fixture.newDeployment(of: source, separateKeys: true)
    var attempts = 0
    for operations in 1... {
      attempts += 1
      // A new process each time.
      var deployment = try Deployment<Float>(opening: first.directory, owner: fixture.owner)
      let channel = MortalChannel(fixture.network.connect(fixture.owner.ownerKey), operations: operations)
      let place = HostedDeployment<Float>(channel: channel, deployment: deployment.record.id, options: fixture.options)
      do {
        try deployment.bringIntoForce(at: place, checkingAll: true, model: { try source.open() })
        break
      } catch TransportError.closed {
        continue
      }
    }
    #expect(attempts > 10)
    let done = try first.directory.load()
    #expect(done.inForce == 1 && !done.isPending && done.id == first.record.id)
    host.state.withLock { state in
      #expect(state.deployments.count == 1 && state.copies.count == 2 && state.uploads == 2)
    }
    for client in fixture.clients { try fixture.handOut(client.name, of: first) }
    try fixture.query(first, data.file, to: "answers.h5")
  }

  @Test func aRotationThatIsKilledIsTakenUpByTheSameCommandAlone() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let source = try fixture.rowSource(data)
    var deployment = try fixture.deployed(source)
    try deployment.begin("rotate") { try $0.rotate(nil) }
    let pending = deployment.record
    // A new process.
    deployment = try Deployment(opening: deployment.directory, owner: fixture.owner)
    #expect(deployment.record == pending && deployment.record.isPending)
    let error = #expect(throws: OwnerError.self) {
      try deployment.begin("clients --remove ward") { try $0.withdraw("ward") }
    }
    #expect(error?.description.contains("`encryptor rotate \(deployment.directory.root.path)`") == true)
    try deployment.begin("rotate") { try $0.rotate(nil) }
    #expect(deployment.record == pending, "the same change, not another")
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    #expect(deployment.record.revision == 2 && deployment.record.copies.map(\.keyNumber) == [2])
    #expect(!deployment.directory.root.appending(path: "keys/1.key").isThere)
    #expect(deployment.directory.root.appending(path: "keys/2.key").isThere)
    host.state.withLock { #expect($0.copies.count == 1) }
  }

  /// Whatever the directory is called by then; a record of the version before has its name of then in it.
  @Test(arguments: ["rotate --client ward", "rotate old/name --client ward", "rotate a path with spaces --client ward"])
  func aChangeIsTakenUpUnderAnotherName(_ recorded: String) throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let source = try fixture.rowSource(data)
    var deployment = try fixture.deployed(source)
    try deployment.begin("rotate --client ward") { try $0.rotate("ward") }
    let text = try String(contentsOf: deployment.directory.record, encoding: .utf8)
    let moved = DeploymentDirectory(root: fixture.directory.url("moved"))
    try Data(text.replacing("rotate --client ward", with: recorded).utf8).write(to: deployment.directory.record)
    try FileManager.default.moveItem(at: deployment.directory.root, to: moved.root)
    deployment = try Deployment(opening: moved, owner: fixture.owner)
    let error = #expect(throws: OwnerError.self) { _ = try deployment.isPending("deploy") }
    #expect(error?.description.contains("`encryptor rotate \(moved.root.path) --client ward`") == true)
    try deployment.begin("rotate --client ward") { _ in Issue.record("it was begun") }
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    #expect(deployment.record.inForce == 2)
    #expect(
      PendingChange("clients old --add a=\(moved.root.path)/x.pub --add b=y.pub --remove c").text
        == "clients --add a=\(moved.root.path)/x.pub --add b=\(URL(filePath: "y.pub").standardizedFileURL.path) --remove c"
    )
  }

  @Test func aHostThatHasMoved() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let source = try fixture.rowSource(data)
    var deployment = try fixture.deployed(source)
    try deployment.move(to: "tcp://elsewhere:1")
    #expect(try deployment.directory.load().host == "tcp://elsewhere:1")
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    #expect(try deployment.directory.client("ward").load().host == "tcp://elsewhere:1")
    #expect(deployment.record.revision == 1, "nothing of it is the host's business")
  }

  @Test func clientsComeAndGo() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let source = try fixture.rowSource(data)
    var deployment = try fixture.deployed(source)
    let third = try CurveKeyPair.generate()
    try deployment.begin("clients") { deployment in
      try deployment.withdraw("clinic")
      try deployment.admit([try NewClient(name: "lab", key: third.publicKey)])
    }
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    // No copy was made anew: the key is shared.
    host.state.withLock { #expect($0.uploads == 1) }
    #expect(deployment.record.clients.map(\.name) == ["ward", "lab"])
    #expect(!deployment.directory.client("clinic").root.isThere && deployment.directory.client("lab").root.isThere)
    let error = #expect(throws: OwnerError.self) { try fixture.query(deployment, as: 1, data.file, to: "answers.h5") }
    #expect(error?.kind == .refused)
    #expect(!fixture.directory.url("answers.h5.partial").isThere)
    // A key of its own for one.
    try deployment.begin("rotate --client lab") { try $0.rotate("lab") }
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    #expect(deployment.record.clients.map(\.keyNumber) == [1, 2])
    try fixture.query(deployment, data.file, to: "answers.h5")
    for (name, key) in [("ward", third.publicKey), ("new", fixture.clients[0].keys.publicKey)] {
      #expect(throws: OwnerError.self) {
        try deployment.begin("clients") { try $0.admit([try NewClient(name: name, key: key)]) }
      }
      deployment = try Deployment(opening: deployment.directory, owner: fixture.owner)
    }
    #expect(throws: OwnerError.self) { try NewClient(name: "../up", key: third.publicKey) }
    #expect(try deployment.takeDown(at: fixture.host(deployment)))
    #expect(try !deployment.takeDown(at: fixture.host(deployment)), "again")
    #expect(throws: OwnerError.self) { try deployment.begin("rotate") { try $0.rotate(nil) } }
    host.state.withLock { #expect($0.copies.isEmpty && $0.deployments.isEmpty) }
  }

  /// Archives to be handed over, notes, directories of something else: they stay, and no change fails for them.
  @Test func whatElseIsAmongTheClients() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let source = try fixture.rowSource(data)
    var deployment = try fixture.deployed(source)
    let clients = deployment.directory.root.appending(path: "clients")
    try Data("archive".utf8).write(to: clients.appending(path: "ward.tgz"))
    let other = clients.appending(path: "other")
    try FileManager.default.createDirectory(at: other, withIntermediateDirectories: false)
    for name in ["client.json", "masking.key"] {
      try Data("of something else".utf8).write(to: other.appending(path: name))
    }
    try deployment.begin("rotate") { try $0.rotate(nil) }
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    try deployment.begin("clients") { try $0.withdraw("clinic") }
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    #expect(deployment.record.inForce == 3)
    #expect(Set(try FileManager.default.contentsOfDirectory(atPath: clients.path)) == ["ward", "ward.tgz", "other"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: other.path).count == 2)
    #expect(deployment.directory.client("ward").description.isThere)
  }

  /// Nothing of it reaches the host, however often the change is tried; with the old weights it goes on.
  @Test(arguments: [false, true]) func aModelThatChangedIsNotMixedIn(isKnown: Bool) throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let source = try fixture.rowSource(data)
    var deployment = try fixture.deployed(source)
    let expected = try PlaintextModel<Float>(source.open()).outputs(data.features).flatMap { $0 }
    let file = fixture.directory.url("run").appending(path: "model/model.safetensors")
    let before = try Data(contentsOf: file)
    if !isKnown {
      // Of a record from before the hash was taken at the beginning: known from the first look on.
      let record = deployment.directory.record
      let text = try String(contentsOf: record, encoding: .utf8)
      try Data(text.replacing(#/,\s*"weights" : "[0-9a-f]{16}"/#, with: "").utf8).write(to: record)
      deployment = try Deployment(opening: deployment.directory, owner: fixture.owner)
      #expect(deployment.record.weights == nil)
      try deployment.bringIntoForce(at: fixture.host(deployment), checkingAll: true, model: { try source.open() })
    }
    #expect(try deployment.directory.load().weights != nil)
    var tensors: NamedTensors<Float> = try SafetensorsFile(path: file.path).tensors()
    tensors["layers.0.bias"]?[0] += 1
    try SafetensorsFile.write(tensors.map { SafetensorsTensor($0.name, $0.tensor) }, to: file.path)
    func refuse(_ change: String, _ make: (inout Deployment<Float>) throws -> Void) throws {
      deployment = try Deployment(opening: deployment.directory, owner: fixture.owner)
      try deployment.begin(change, make)
      let error = #expect(throws: OwnerError.self) {
        try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
      }
      #expect(error?.kind == .inputData && error?.description.contains("other weights") == true)
    }
    for _ in 0..<3 { try refuse("rotate") { try $0.rotate(nil) } }
    host.state.withLock { #expect($0.uploads == 1 && $0.copies.count == 1) }
    // What was in force still is.
    try fixture.query(deployment, data.file, to: "answers.h5")
    try before.write(to: file)
    deployment = try Deployment(opening: deployment.directory, owner: fixture.owner)
    try deployment.begin("rotate") { try $0.rotate(nil) }
    try deployment.bringIntoForce(at: fixture.host(deployment), model: { try source.open() })
    try fixture.query(deployment, data.file, to: "again.h5")
    let found = try fixture.matrix("again.h5", "outputs")
    #expect(found.count == expected.count && zip(found, expected).allSatisfy { abs(Double($0) - $1) <= 1e-4 })
    // A client's statistics are of the model, too.
    try SafetensorsFile.write(tensors.map { SafetensorsTensor($0.name, $0.tensor) }, to: file.path)
    let new = try NewClient(name: "new", key: CurveKeyPair.generate().publicKey)
    for _ in 0..<2 { try refuse("clients") { try $0.admit([new]) } }
    #expect(!deployment.directory.client("new").description.isThere)
  }
}
