import Files
import Foundation
import Foundations
import Numerics
import Testing
import TestSupport
import Protocol
import Service

@testable import TrainerRole

/// What is wrong with files of deployments is told apart: what its owner mends, what its operator does, and what is only in the way for now.
@Suite(.waiting, .timeLimit(.minutes(5))) struct StoredDeploymentTests {
  private let site: HostedSite<Float>
  private let rows: RowDelivery<Float>

  init() throws {
    site = try HostedSite()
    rows = site.model.question(3, seed: 1)
  }

  private func folder(_ id: JobID, _ store: String = "store") -> URL {
    site.directory.url(store).appending(path: "deployments/\(id)")
  }

  private func status(_ id: JobID) throws -> DeploymentStatus {
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: id)
    try owner.send(.deployment(.status))
    return try owner.status()
  }

  /// One flipped bit in any line of the log, or in the description, is damage, and the owner hears of it.
  @Test(arguments: ["questions.log", "deployment.json"]) func aFlippedBit(_ name: String) throws {
    let first = site.trainer()
    let deployed = try site.deployed(maximumRows: 1000)
    _ = try deployed.clients[0].ask(1, rows)
    first.shutDown()
    let file = folder(deployed.id).appending(path: name)
    var text = try String(contentsOf: file, encoding: .utf8)
    // Rows of the question, and the most rows of all.
    text = name == "questions.log" ? text.replacing(" 3 ", with: " 7 ") : text.replacing(" : 1000", with: " : 3000")
    try Data(text.utf8).write(to: file)
    let second = site.trainer()
    defer { second.shutDown() }
    #expect(try status(deployed.id).damaged == name)
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: .none)
    #expect(try owner.list().map(\.damaged) == [name])
    let entry = site.entry(deployed.clients[0].key, deployed.copy)
    #expect(try site.deploy(deployed.id, revision: 2, [entry], maximumRows: 1000).damaged == nil)
    #expect(try deployed.clients[0].again().ask(2, rows).rowsSeen == (name == "questions.log" ? 3 : 6))
  }

  /// A log that cannot be read now is left where it is, by its owner's commands too; read again at the next start.
  @Test func aLogThatCannotBeRead() throws {
    let first = site.trainer()
    let deployed = try site.deployed(maximumRows: 100)
    let whole = try site.deployed()
    _ = try deployed.clients[0].ask(1, rows)
    first.shutDown()
    let log = folder(deployed.id).appending(path: "questions.log")
    let aside = site.directory.url("aside")
    try FileManager.default.moveItem(at: log, to: aside)
    // A link to itself, which nobody can open.
    symlink(log.path, log.path)
    let second = site.trainer()
    let client = deployed.clients[0].again()
    let refusal = try client.refusal(of: .open)
    #expect(refusal.reason.contains("cannot use a file of this deployment (questions.log"), "\(refusal)")
    #expect(!refusal.reason.contains(site.directory.url.path))
    #expect(try status(deployed.id).damaged == "questions.log")
    let entry = site.entry(client.key, deployed.copy)
    #expect(throws: RawOwner<Float>.Refusal.self) {
      try site.deploy(deployed.id, revision: 2, [entry], maximumRows: 100)
    }
    #expect(try whole.clients[0].again().ask(1, rows).rowsSeen == 3)
    second.shutDown()
    try FileManager.default.removeItem(at: log)
    try FileManager.default.moveItem(at: aside, to: log)
    let third = site.trainer()
    defer { third.shutDown() }
    #expect(try client.again().ask(2, rows).rowsSeen == 6)
  }

  @Test(arguments: ["questions.log", "deployment.json"]) func aLaterVersion(_ name: String) throws {
    let first = site.trainer()
    let deployed = try site.deployed()
    _ = try deployed.clients[0].ask(1, rows)
    first.shutDown()
    let file = folder(deployed.id).appending(path: name)
    let text = try String(contentsOf: file, encoding: .utf8)
    let later = text.replacing("deployment 2", with: "deployment 3").replacing(
      "\"version\" : 2", with: "\"version\" : 3")
    #expect(later != text)
    try Data(later.utf8).write(to: file)
    let second = site.trainer()
    defer { second.shutDown() }
    let client = deployed.clients[0].again()
    // Who its clients are is not known where the description is not read, but for those who have asked.
    let refusal = try client.refusal(of: .open)
    #expect(refusal.reason.contains("a later version (\(name), version 3)"), "\(refusal)")
    let entry = site.entry(client.key, deployed.copy)
    #expect(throws: RawOwner<Float>.Refusal.self) { try site.deploy(deployed.id, revision: 2, [entry]) }
    #expect(try String(contentsOf: file, encoding: .utf8) == later)
  }

  /// The folder of one cannot be put in order: the others are served.
  @Test func aFolderThatCannotBePutInOrder() throws {
    let first = site.trainer()
    let deployed = try site.deployed()
    let whole = try site.deployed()
    first.shutDown()
    // Has the name of a file that a kill left, and cannot be removed as one.
    try FileManager.default.createDirectory(
      at: folder(deployed.id).appending(path: ".writing-0123456789abcdef"), withIntermediateDirectories: false)
    let second = site.trainer()
    defer { second.shutDown() }
    #expect(try whole.clients[0].again().ask(1, rows).rowsSeen == 3)
    #expect(
      try deployed.clients[0].again().refusal(of: .open).reason.contains("cannot use a file of this deployment"))
  }

  /// Nobody has asked yet, and the description is gone: it is the owner's deployment all the same, and its copies stay.
  @Test func aDescriptionThatIsGone() throws {
    let first = site.trainer()
    let deployed = try site.deployed()
    first.shutDown()
    try FileManager.default.removeItem(at: folder(deployed.id).appending(path: "deployment.json"))
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSinceNow: -90_000)],
      ofItemAtPath: first.store.appending(path: "jobs/\(deployed.copy)/job.json").path)
    let second = site.trainer()
    defer { second.shutDown() }
    #expect(try status(deployed.id).damaged == "deployment.json")
    _ = try site.deploy(deployed.id, revision: 1, [site.entry(deployed.clients[0].key, deployed.copy)])
    #expect(try deployed.clients[0].again().ask(1, rows).rowsSeen == 3)
  }

  /// A damaged log is no reason to take an older description: whoever was withdrawn stays so.
  @Test func anOlderRevisionOverADamagedLog() throws {
    let first = site.trainer()
    let deployed = try site.deployed(clients: 2)
    let entries = deployed.clients.map { site.entry($0.key, deployed.copy) }
    _ = try deployed.clients[1].ask(1, rows)
    _ = try site.deploy(deployed.id, revision: 2, [entries[0]])
    first.shutDown()
    let log = folder(deployed.id).appending(path: "questions.log")
    try Data(try Data(contentsOf: log) + Data("nonsense\n".utf8)).write(to: log)
    let second = site.trainer()
    #expect(throws: RawOwner<Float>.Refusal.self) { try site.deploy(deployed.id, revision: 1, entries) }
    #expect(throws: RawOwner<Float>.Refusal.self) { try site.deploy(deployed.id, revision: 2, entries) }
    // The same again mends it, and it does so without a log that was put aside before being lost.
    _ = try site.deploy(deployed.id, revision: 2, [entries[0]])
    #expect(try deployed.clients[0].again().ask(1, rows).rowsSeen == 6)
    second.shutDown()
    try Data(try Data(contentsOf: log) + Data("nonsense\n".utf8)).write(to: log)
    let third = site.trainer()
    defer { third.shutDown() }
    _ = try site.deploy(deployed.id, revision: 2, [entries[0]])
    for name in ["questions.log.damaged", "questions.log.damaged-2"] {
      #expect(FileManager.default.fileExists(atPath: folder(deployed.id).appending(path: name).path), "\(name)")
    }
  }

  /// The copies go after what names them; a removal that fails leaves a deployment that can be taken down again.
  @Test func takenDownInTheEnd() throws {
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let deployed = try site.deployed()
    let path = folder(deployed.id)
    let aside = site.directory.url("aside")
    try FileManager.default.moveItem(at: path, to: aside)
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: deployed.id)
    #expect(try owner.refusal(of: .deployment(.undeploy)).reason.contains("cannot be removed"))
    #expect(try deployed.clients[0].ask(1, rows).rowsSeen == 3)
    try FileManager.default.moveItem(at: aside, to: path)
    try owner.undeploy()
    let copy = RawOwner<Float>(site.network, site.ownerKey, job: deployed.copy)
    #expect(try copy.refusal(of: .status).reason.contains("no job of this id"))
    #expect(try owner.list() == [])
  }

  // MARK: - Logs

  /// Logs of version 1 have no checks, and a book that let go of the session with the smallest number.
  @Test func aLogOfVersionOne() throws {
    let first = site.trainer()
    let deployed = try site.deployed()
    first.shutDown()
    let key = deployed.clients[0].key
    let digest = String(repeating: "0", count: 64)
    var lines = ["deployment 1 \(site.ownerKey.z85)", "total \(key.z85) 2 9 4 0 0"]
    lines += (5...6).map { "question \(key.z85) 1 \($0) \(digest) 2" }
    lines += (1...65).map { "session \(key.z85) 1 \($0) 3 \(digest)" }
    // By the rule of version 2 this one would have been let go of when the 66th began.
    lines += ["session \(key.z85) 1 66 1 \(digest)", "session \(key.z85) 1 3 4 \(digest)"]
    let log = folder(deployed.id).appending(path: "questions.log")
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: log)
    let description = folder(deployed.id).appending(path: "deployment.json")
    var object = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: description)) as? [String: Any])
    object["check"] = nil
    object["version"] = 1
    try JSONSerialization.data(withJSONObject: object).write(to: description)
    for store in 0..<2 {
      let trainer = site.trainer()
      defer { trainer.shutDown() }
      #expect(try status(deployed.id).damaged == nil)
      #expect(try deployed.clients[0].again().open().rowsSeen == 9 + 4 + 65 * 3 + 1 + 1 + store * 3)
      #expect(try deployed.clients[0].again().open().lastQuestion == 6 + store)
      _ = try deployed.clients[0].again().ask(7 + store, rows)
      #expect(try String(contentsOf: log, encoding: .utf8).hasPrefix("deployment 2 \(site.ownerKey.z85) "))
    }
  }

  /// Many answers leave a log of a bounded length while the trainer runs, and nothing that was counted is lost.
  @Test func aLogThatDoesNotGrowForEver() throws {
    let first = site.trainer(deploymentLogLines: 500)
    let deployed = try site.deployed(clients: 2)
    let log = folder(deployed.id).appending(path: "questions.log")
    let one = site.model.question(1, seed: 1)
    func lines() throws -> Int { try Data(contentsOf: log).count { $0 == 0x0A } }
    var (number, isShorter, before) = (0, 0, 0)
    let deadline = ContinuousClock.now + .seconds(60)
    while isShorter < 3, ContinuousClock.now < deadline {
      for _ in 0..<200 {
        number += 1
        for client in deployed.clients { _ = try client.ask(number, one) }
      }
      let now = try lines()
      if now < before { isShorter += 1 }
      before = now
    }
    #expect(isShorter == 3 && before < 2 * number)
    #expect(try deployed.clients[0].open().rowsSeen == 2 * number)
    try first.kill(snapshot: site.directory.url("snapshot"))
    let second = site.trainer(store: "snapshot")
    defer { second.shutDown() }
    let client = deployed.clients[1].again()
    #expect(try client.open().rowsSeen == 2 * number)
    // Digests of the last questions are there, too.
    #expect(try client.ask(number - 3, one).rowsSeen == 2 * number)
    #expect(try client.refusal(of: .ask(number: number - 3, keyNumber: 1, rows: rows)).reason.contains("other rows"))
    #expect(
      try Data(contentsOf: folder(deployed.id, "snapshot").appending(path: "questions.log")).count { $0 == 0x0A } <= 2
        * 258)
  }
}
