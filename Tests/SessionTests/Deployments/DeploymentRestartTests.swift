import Foundation
import Foundations
import Numerics
import Testing
import TestSupport
import Protocol

/// The host comes back with what it had, without an owner; what is damaged is told, and the rest serves.
@Suite(.waiting, .timeLimit(.minutes(5))) struct DeploymentRestartTests {
  @Test(arguments: [false, true]) func withoutTheOwner(_ isKilled: Bool) throws {
    let site = try HostedSite<Float>(.frozenEncoder)
    let first = site.trainer()
    let deployed = try site.deployed(clients: 2)
    let rows = site.model.question(5, seed: 1)
    let tokens = rows.values.rows
    for (index, client) in deployed.clients.enumerated() {
      #expect(try client.ask(7, rows).rowsSeen == tokens * (index + 1))
    }
    var store = "store"
    if isKilled {
      store = "copy"
      try first.kill(snapshot: site.directory.url(store))
    } else {
      first.shutDown()
    }
    let second = site.trainer(store: store)
    defer { second.shutDown() }
    for client in deployed.clients.map({ $0.again() }) {
      let terms = try client.open()
      #expect(terms.rowsSeen >= 2 * tokens && terms.lastQuestion >= 7)
      let answer = try client.ask(8, rows)
      #expect(SmallHostedModel.areAlike(answer.values, try site.model.outputs(rows)))
      #expect(answer.rowsSeen == terms.rowsSeen + tokens)
    }
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: deployed.id)
    #expect(try owner.list().map(\.questions) == [4])
  }

  /// Counted before it is answered: whatever the moment of a kill, no answer is there that is not in the books.
  @Test func nothingAnsweredIsUncounted() throws {
    let site = try HostedSite<Float>()
    var store = "store"
    var trainer = site.trainer(store: store)
    var client = try site.deployed().clients[0]
    var answered = 0
    var number = 0
    for round in 1...5 {
      for _ in 0..<20 {
        number += 1
        _ = try client.ask(number, site.model.question(1, seed: UInt64(number)))
        answered += 1
      }
      // Questions are under way when it ends.
      for ahead in 1...4 {
        try client.send(.ask(number: number + ahead, keyNumber: 1, rows: site.model.question(1, seed: 5)))
      }
      number += 4
      store = "store-\(round)"
      try trainer.kill(snapshot: site.directory.url(store))
      trainer = site.trainer(store: store)
      client = client.again()
      #expect(try client.open().rowsSeen >= answered)
      #expect(try client.open().rowsSeen <= number)
    }
    trainer.shutDown()
  }

  @Test(arguments: ["deployment.json", "questions.log"]) func aDamagedFile(_ name: String) throws {
    let site = try HostedSite<Float>()
    let first = site.trainer()
    let damaged = try site.deployed()
    let whole = try site.deployed()
    let rows = site.model.question(3, seed: 1)
    for client in damaged.clients + whole.clients { _ = try client.ask(1, rows) }
    first.shutDown()
    let path = first.store.appending(path: "deployments/\(damaged.id)/\(name)")
    try Data("{\"version\": 1, question".utf8 + [0x0A, 0xFF, 0x0A]).write(to: path)

    let second = site.trainer()
    defer { second.shutDown() }
    #expect(try whole.clients[0].again().ask(2, rows).rowsSeen == 6)
    let client = damaged.clients[0].again()
    let refusal = try client.refusal(of: .open)
    #expect(refusal.kind == .refused)
    #expect(refusal.reason.contains("damaged in the trainer's store (\(name)); ask its owner to deploy it again"))
    #expect(second.events.refusals.contains { $0.contains(path.path) })
    // Another owner cannot have it; its own can, and what was counted stays counted where it could be read.
    let entry = site.entry(damaged.clients[0].key, damaged.copy)
    #expect(throws: RawOwner<Float>.Refusal.self) {
      try site.deploy(damaged.id, revision: 2, [entry], by: site.otherOwner)
    }
    _ = try site.deploy(damaged.id, revision: 2, [entry])
    #expect(try client.ask(2, rows).rowsSeen == (name == "questions.log" ? 3 : 6))
    #expect(
      FileManager.default.fileExists(atPath: path.path + ".damaged") == (name == "questions.log"))
  }

  /// What a kill in the middle of a line leaves is passed over.
  @Test func aTornLine() throws {
    let site = try HostedSite<Float>()
    let first = site.trainer()
    let (id, _, clients) = try site.deployed()
    let rows = site.model.question(3, seed: 1)
    _ = try clients[0].ask(1, rows)
    first.shutDown()
    let log = first.store.appending(path: "deployments/\(id)/questions.log")
    let handle = try FileHandle(forWritingTo: log)
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("question ab".utf8))
    try handle.close()
    let second = site.trainer()
    defer { second.shutDown() }
    #expect(try clients[0].again().ask(2, rows).rowsSeen == 6)
  }

  @Test func damagedWeights() throws {
    let site = try HostedSite<Float>()
    let first = site.trainer()
    let damaged = try site.deployed()
    let whole = try site.deployed()
    first.shutDown()
    let folder = first.store.appending(path: "jobs/\(damaged.copy)")
    let path = folder.appending(path: "checkpoint-000000000.safetensors")
    var bytes = try Data(contentsOf: path)
    bytes[bytes.count - 3] ^= 0x40
    try bytes.write(to: path)
    let second = site.trainer()
    defer { second.shutDown() }
    let rows = site.model.question(3, seed: 1)
    let client = damaged.clients[0].again()
    for number in 1...2 {
      let refusal = try client.refusal(of: .ask(number: number, keyNumber: 1, rows: rows))
      #expect(refusal.kind == .refused && refusal.reason.contains("damaged in the trainer's store"), "\(refusal)")
      #expect(refusal.reason.contains("ask its owner to deploy it again"))
      // Which file it is, not where the operator has it.
      #expect(refusal.reason.contains("(checkpoint-000000000.safetensors"), "\(refusal)")
      #expect(!refusal.reason.contains(site.directory.url.path), "\(refusal)")
    }
    #expect(second.events.refusals.contains { $0.contains(path.path) })
    #expect(try whole.clients[0].again().ask(1, rows).rowsSeen == 3)
    // The same command again sends the copy again.
    try site.upload(as: damaged.copy)
    _ = try site.deploy(damaged.id, [site.entry(client.key, damaged.copy)])
    #expect(SmallHostedModel.areAlike(try client.ask(3, rows).values, try site.model.outputs(rows)))
    // And another copy may take its place.
    let copy = try site.upload()
    _ = try site.deploy(damaged.id, revision: 2, [site.entry(client.key, copy)])
    #expect(SmallHostedModel.areAlike(try client.ask(4, rows).values, try site.model.outputs(rows)))
  }

  /// A copy whose folder is gone is as bad as a damaged one.
  @Test func aCopyThatIsGone() throws {
    let site = try HostedSite<Float>()
    let first = site.trainer()
    let damaged = try site.deployed()
    let whole = try site.deployed()
    first.shutDown()
    try FileManager.default.removeItem(at: first.store.appending(path: "jobs/\(damaged.copy)"))
    let second = site.trainer()
    defer { second.shutDown() }
    let client = damaged.clients[0].again()
    #expect(try client.refusal(of: .open).reason.contains("deploy it again"))
    let entry = site.entry(client.key, damaged.copy)
    #expect(throws: RawOwner<Float>.Refusal.self) { try site.deploy(damaged.id, [entry]) }
    try site.upload(as: damaged.copy)
    _ = try site.deploy(damaged.id, [entry])
    #expect(try client.ask(1, site.model.question(2, seed: 1)).rowsSeen == 2)
    #expect(try whole.clients[0].again().open().lastQuestion == 0)
  }

  /// Of which no deployment knows: removed some time after their owner has gone, in a trainer at work and in one that was restarted.
  @Test func copiesThatAreForgotten() throws {
    let site = try HostedSite<Float>()
    func trainer() -> TrainerHost<Float> {
      site.trainer(ownerSilence: .milliseconds(300), forgottenCopies: .seconds(1))
    }
    let first = trainer()
    func jobs() throws -> Set<String> {
      Set(try FileManager.default.contentsOfDirectory(atPath: first.store.appending(path: "jobs").path))
    }
    let used = try site.deployed()
    let gone = try site.upload()
    let present = RawOwner<Float>(site.network, site.ownerKey, job: .random())
    try site.model.upload(present)
    var deadline = ContinuousClock.now + .seconds(120)
    while try jobs().contains(gone.description), ContinuousClock.now < deadline {
      // The owner of the other one goes on speaking.
      try present.send(.status)
      Thread.sleep(forTimeInterval: 0.05)
    }
    #expect(try jobs() == [used.copy.description, present.job.description])
    first.shutDown()
    let second = trainer()
    defer { second.shutDown() }
    deadline = ContinuousClock.now + .seconds(120)
    while try jobs().count > 1, ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.05) }
    #expect(try jobs() == [used.copy.description])
    #expect(try used.clients[0].again().open().lastQuestion == 0)
  }

  /// Of a prediction: nobody comes back to it.
  @Test func whatEndsWithItsOwner() throws {
    let site = try HostedSite<Float>()
    let first = site.trainer(ownerSilence: .milliseconds(300))
    let copies = try [site.upload(), site.upload()]
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: .random())
    let other = RawOwner<Float>(site.network, site.ownerKey, job: .random())
    for (connection, copy) in zip([owner, other], copies) {
      _ = try connection.deploy(
        DeploymentDescription(
          revision: 1, clients: [site.entry(site.ownerKey, copy)], maximumRows: nil, endsWithOwner: true))
    }
    // A key may be an owner's and a client's.
    try owner.send(.question(.ask(number: 1, keyNumber: 1, rows: site.model.question(2, seed: 1))))
    let seen = try owner.wait { message in
      if case .deployment(.answered(1, let seen, _)) = message { return seen }
      return nil
    }
    #expect(seen == 2)
    // The one that goes on speaking stays, the other goes.
    owner.channel.close()
    let deadline = ContinuousClock.now + .seconds(120)
    while try other.list().count == 2, ContinuousClock.now < deadline { Thread.sleep(forTimeInterval: 0.05) }
    #expect(try other.list().map(\.id) == [other.job])
    first.shutDown()
    let second = site.trainer()
    defer { second.shutDown() }
    let again = RawOwner<Float>(site.network, site.ownerKey, job: .none)
    #expect(try again.list() == [])
    for copy in copies {
      let connection = RawOwner<Float>(site.network, site.ownerKey, job: copy)
      #expect(try connection.refusal(of: .status).reason.contains("no job of this id"))
    }
  }
}
