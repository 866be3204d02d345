import Datasets
import Files
import Dispatch
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

/// What happens on the way of a query: new keys, a host that goes away, limits, numbers.
@Suite(.waiting, .timeLimit(.minutes(10))) struct QueryBehaviourTests {
  private let fixture: DeploymentFixture<Float>
  private let host: HostStandIn<Float>
  private let source: ModelSource
  private let new: SmallData

  init() throws {
    fixture = try DeploymentFixture()
    host = HostStandIn(on: fixture.network)
    source = try fixture.source(
      try fixture.finishedRun(SmallJob().resolved(on: try SmallData(in: fixture.directory))))
    new = try SmallData(in: fixture.directory, rows: 60, seed: 5)
    // 60 rows are 15 questions.
    host.state.withLock { $0.rowsPerQuestion = 4 }
  }

  private func expectRight(_ name: String) throws {
    let expected = try PlaintextModel<Float>(source.open()).outputs(new.features).flatMap { $0 }
    let found = try fixture.matrix(name, "outputs")
    #expect(found.count == expected.count)
    #expect(zip(found, expected).allSatisfy { abs(Double($0) - $1) <= 1e-4 })
    #expect(!fixture.directory.url(name + ".partial").isThere)
  }

  /// Puts the next revision of a deployment in force from one message to the next, as a host does whose owner has uploaded everything.
  private func swap(to next: Deployment<Float>) throws -> @Sendable () -> Void {
    let network = InProcessNetwork()
    let other = HostStandIn<Float>(on: network)
    defer { other.shutDown() }
    var next = next
    try next.bringIntoForce(
      at: HostedDeployment(
        channel: network.connect(fixture.owner.ownerKey), deployment: next.record.id, options: fixture.options),
      model: { try source.open() })
    let copies = other.state.withLock { $0.copies }
    let (host, id, description) = (host, next.record.id, try next.record.description())
    return {
      host.state.withLock { state in
        state.copies = copies
        state.deployments[id]?.description = description
      }
    }
  }

  /// Whatever the moment: each answer is unmasked with the key that its question was masked under, and no question fails.
  @Test(arguments: [1, 3, 8, 9, 15]) func aKeyThatIsRotatedOnTheWay(at question: Int) throws {
    defer { host.shutDown() }
    var deployment = try fixture.deployed(source)
    try deployment.begin("rotate") { try $0.rotate(nil) }
    let swap = try swap(to: deployment)
    host.state.withLock { $0.beforeAnswer = { number in if number == question { swap() } } }
    var keys: [Int] = []
    let report = try fixture.query(deployment, new.file, to: "answers.h5") { event in
      if case .rekeyed(let number) = event { keys.append(number) }
    }
    try expectRight("answers.h5")
    #expect(report.rows == 60 && report.keyNumber == 2 && keys == [2])
    // Those before it under the old key, the rest under the new one, each counted once.
    host.state.withLock { #expect($0.counted == 15) }
    #expect(try fixture.given("ward").load().keyNumber == 2)
    // A client that was away meanwhile is told when it opens.
    host.state.withLock { $0.beforeAnswer = nil }
    let again = try fixture.query(deployment, as: 1, new.file, to: "again.h5")
    #expect(again.keyNumber == 2)
    try expectRight("again.h5")
    // The next one finds the key in place.
    try fixture.query(deployment, new.file, to: "third.h5") { event in
      if case .rekeyed = event { Issue.record("the key was kept") }
    }
    try expectRight("third.h5")
  }

  @Test func aHostThatIsRestartedOnTheWay() throws {
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    host.state.withLock { [host] state in
      state.beforeAnswer = { number in if [2, 7, 12].contains(number) { host.restart() } }
    }
    var losses = 0
    try fixture.query(deployment, new.file, to: "answers.h5") { event in
      if case .lost = event { losses += 1 }
    }
    #expect(losses >= 1)
    try expectRight("answers.h5")
    // What was sent again is counted once.
    host.state.withLock { #expect($0.counted == 15 && $0.asked > 15) }
    #expect(try fixture.host(deployment).status().rows == 60)
  }

  /// A client that is killed, again and again, goes on where it stopped, and the host counts each row once.
  @Test func aQueryThatIsKilledGoesOn() throws {
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    var runs = 0
    for operations in stride(from: 14, through: 500, by: 3) {
      runs += 1
      let channel = MortalChannel(fixture.network.connect(fixture.clients[0].keys.ownerKey), operations: operations)
      do {
        try fixture.query(deployment, new.file, to: "answers.h5", over: channel, patience: .seconds(1))
        break
      } catch let error as TransportError {
        #expect(error == .closed)
        #expect(fixture.directory.url("answers.h5.partial").isThere || runs == 1)
      }
    }
    #expect(runs > 2)
    try expectRight("answers.h5")
    host.state.withLock { #expect($0.counted == 15) }
  }

  @Test func aHostThatStaysAwayEndsTheQueryForLater() throws {
    let deployment = try fixture.deployed(source)
    host.state.withLock { [network = fixture.network, owner = fixture.clients[0].keys.ownerKey] state in
      state.beforeAnswer = { number in
        guard number == 6 else { return }
        // Nothing comes through any more.
        network.setFault { $0.ownerKey == owner ? [] : [$0.message] }
      }
    }
    let error = #expect(throws: OwnerError.self) {
      let directory = fixture.given("ward")
      let asking = try DeploymentClient<Float>(
        directory, own: fixture.clients[0].keys, compute: Compute(threads: 1))
      let connection = TrainerConnection<Float>(
        channel: fixture.network.connect(fixture.clients[0].keys.ownerKey), job: deployment.record.id,
        software: "test", silence: .seconds(1))
      _ = try Query(
        client: asking, source: try QuestionSource(asking.shape, file: new.file.path, features: nil),
        data: new.file.path, features: nil, to: fixture.directory.url("answers.h5"),
        takeNumbers: { try directory.takeNumbers($0, after: $1) }
      ).run(over: connection, patience: .seconds(1))
    }
    #expect(error?.kind == .unreachable)
    #expect(error?.description.contains("the same command goes on there") == true)
    #expect(!fixture.directory.url("answers.h5").isThere)
    fixture.network.setFault(nil)
    host.state.withLock { $0.beforeAnswer = nil }
    var resumed = 0
    try fixture.query(deployment, new.file, to: "answers.h5") { event in
      if case .resumed(let rows) = event { resumed = rows }
    }
    host.shutDown()
    #expect(resumed >= 4)
    try expectRight("answers.h5")
    host.state.withLock { #expect($0.counted == 15) }
  }

  /// A host that is busy is asked again, under the same numbers; one that stays so ends the query for later.
  @Test(arguments: [1, 8, 11]) func aHostWithoutRoom(for questions: Int) throws {
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    host.state.withLock { $0.withoutRoom = questions }
    var waits: [String] = []
    try fixture.query(deployment, new.file, to: "answers.h5") { event in
      if case .waiting(let reason) = event { waits.append(reason) }
    }
    #expect(waits == ["the host answers: more questions wait here; ask again later"])
    try expectRight("answers.h5")
    host.state.withLock { #expect($0.counted == 15 && $0.asked >= 15 + questions) }
    // A key that changes meanwhile is taken up on the way.
    var next = deployment
    try next.begin("rotate") { try $0.rotate(nil) }
    let swap = try swap(to: next)
    host.state.withLock { state in
      state.withoutRoom = 3
      let last = state.asked
      state.beforeAnswer = { number in if number == last + 6 { swap() } }
    }
    #expect(try fixture.query(deployment, as: 1, new.file, to: "other.h5").keyNumber == 2)
    try expectRight("other.h5")
  }

  @Test func aHostThatStaysWithoutRoom() throws {
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    host.state.withLock { $0.withoutRoom = .max }
    let error = #expect(throws: OwnerError.self) {
      try fixture.query(deployment, new.file, to: "answers.h5", patience: .seconds(1))
    }
    #expect(error?.kind == .exhausted && error?.description.contains("the same command goes on there") == true)
    host.state.withLock { $0.withoutRoom = 0 }
    try fixture.query(deployment, new.file, to: "answers.h5")
    try expectRight("answers.h5")
  }

  @Test func rowsThatAreUsedUp() throws {
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source, maximumRows: 50)
    let error = #expect(throws: OwnerError.self) { try fixture.query(deployment, new.file, to: "answers.h5") }
    #expect(error?.kind == .refused)
    #expect(error?.description.contains("answers 50 rows in all") == true)
    #expect(!fixture.directory.url("answers.h5").isThere)
    host.state.withLock { #expect($0.counted == 12) }
  }

  @Test func answersOfAnotherQueryAreNotGoneOnWith() throws {
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source, maximumRows: 50)
    #expect(throws: OwnerError.self) { try fixture.query(deployment, new.file, to: "answers.h5") }
    let other = try SmallData(in: fixture.directory, rows: 8, seed: 9)
    let error = #expect(throws: OwnerError.self) { try fixture.query(deployment, other.file, to: "answers.h5") }
    #expect(error?.kind == .usage && error?.description.contains("answers of another query") == true)
    // A file of somebody else's under that name stays as it is.
    try Data("my notes, which are longer than a few bytes".utf8).write(to: fixture.directory.url("notes.h5.partial"))
    #expect(throws: FileError.file(path: fixture.directory.url("notes.h5.partial").path, .foreign)) {
      try fixture.query(deployment, other.file, to: "notes.h5")
    }
    #expect(try Data(contentsOf: fixture.directory.url("notes.h5.partial")).count == 43)
  }

  @Test(arguments: [false, true]) func twoClientsAtOnce(separateKeys: Bool) throws {
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source, separateKeys: separateKeys)
    #expect(deployment.record.copies.count == (separateKeys ? 2 : 1))
    #expect(Set(deployment.record.clients.map(\.keyNumber)) == (separateKeys ? [1, 2] : [1]))
    let (fixture, new) = (self.fixture, self.new)
    DispatchQueue.concurrentPerform(iterations: 2) { client in
      do { try fixture.query(deployment, as: client, new.file, to: "answers-\(client).h5") } catch {
        Issue.record(error)
      }
    }
    for client in 0..<2 { try expectRight("answers-\(client).h5") }
    let status = try fixture.host(deployment).status()
    #expect(status.rows == 120 && status.clients.map(\.rows) == [60, 60])
  }

  /// The host, or who stands between, cannot put a key of its own in place: the client opens what the owner sealed and nothing else.
  @Test func aKeyThatTheOwnerDidNotSeal() throws {
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    let stranger = try CurveKeyPair.generate()
    let forged = try SealedMasterKey.seal(
      MasterKey(for: deployment.record.id), number: 2, to: fixture.clients[0].keys.publicKey.bytes,
      from: try stranger.agreement())
    let asking = try DeploymentClient<Float>(
      fixture.given("ward"), own: fixture.clients[0].keys, compute: Compute(threads: 1))
    var terms = DeploymentTerms(
      keyNumber: 2, package: Data(forged), window: 1, rowsPerQuestion: 1, maximumTokens: nil, rowsSeen: 0,
      maximumRows: nil, lastQuestion: 0)
    #expect(throws: MaskingError.sealedKey) { _ = try asking.adopt(terms) }
    // The owner's own package of another number, of another client, cut short, altered.
    let good = [UInt8](deployment.record.clients[0].package)
    for package in [
      good, [UInt8](deployment.record.clients[1].package), Array(good.dropLast()), [], good.map { $0 ^ 1 },
    ] {
      terms.package = Data(package)
      #expect(throws: MaskingError.sealedKey) { _ = try asking.adopt(terms) }
    }
    // An older key than that which is here.
    terms.keyNumber = 0
    #expect(throws: OwnerError.self) { _ = try asking.adopt(terms) }
    #expect(asking.keyNumber == 1)
    #expect(try fixture.given("ward").load().keyNumber == 1)
  }

  @Test func answersThatCannotBeAreRefused() throws {
    defer { host.shutDown() }
    let deployment = try fixture.deployed(source)
    for altering: @Sendable (Tensor<Float>) -> Tensor<Float> in [
      { values in Tensor(zeros: [values.rows + 1, values.columns]) },
      { values in Tensor(repeating: .nan, shape: values.shape) },
      { values in Tensor(zeros: [values.rows, values.columns + 1]) },
    ] {
      host.state.withLock { $0.altering = altering }
      let error = #expect(throws: OwnerError.self) { try fixture.query(deployment, new.file, to: "answers.h5") }
      #expect(error?.kind == .refused)
      try? FileManager.default.removeItem(at: fixture.directory.url("answers.h5.partial"))
    }
  }
}

extension URL {
  /// Whether there is a file of this name.
  var isThere: Bool { FileManager.default.fileExists(atPath: path) }
}
