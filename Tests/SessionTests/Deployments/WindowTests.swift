import Foundation
import Foundations
import Numerics
import Testing
import TestSupport
import Protocol
import Service
import TrainerRole

/// What clients may have unanswered is bounded, and goes with them.
@Suite(.waiting, .timeLimit(.minutes(5))) struct WindowTests {
  /// A model wide enough to take its time: its questions come faster than they are answered.
  private static func slowModel() throws -> SmallHostedModel<Float> {
    try SmallHostedModel(.perceptron, question: 20_000, hidden: 10_000)
  }

  private func deploy(
    _ site: HostedSite<Float>, _ model: SmallHostedModel<Float>, clients: Int = 1
  ) throws -> (id: JobID, copy: JobID, clients: [RawClient<Float>]) {
    let copy = try site.upload(model)
    let id = JobID.random()
    let keys = try (0..<clients).map { _ in try site.client() }
    _ = try site.deploy(id, keys.map { site.entry($0, copy) })
    return (id, copy, keys.map { RawClient(site.network, $0, deployment: id) })
  }

  @Test func moreQuestionsThanMayBeUnanswered() throws {
    let site = try HostedSite<Float>()
    // This client gives no sign of life while it waits.
    let trainer = site.trainer(ownerSilence: .seconds(60))
    defer { trainer.shutDown() }
    let model = try Self.slowModel()
    let client = try deploy(site, model).clients[0]
    let rows = model.question(20_000, seed: 1)
    // Read into memory first, so that the questions come while the first of them is computed.
    _ = try client.ask(1, model.question(1, seed: 2))
    for number in 2...12 { try client.send(.ask(number: number, keyNumber: 1, rows: rows)) }
    var answered: Set<Int> = []
    var refused = 0
    while answered.count + refused < 11 {
      switch try client.connection.next() {
      case .deployment(.answered(let number, _, let values)):
        answered.insert(number)
        #expect(values.shape == [20_000, 3])
      case .refused(.refused, let reason):
        refused += 1
        #expect(reason.contains("8 questions of this client are unanswered"))
      default: break
      }
    }
    #expect(answered.isSuperset(of: 2...9) && refused > 0)
    // There is room again.
    _ = try client.ask(20, model.question(1, seed: 2))
  }

  @Test func anAnswerLargerThanAMessage() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer(ownerSilence: .seconds(60))
    defer { trainer.shutDown() }
    let model = try SmallHostedModel<Float>(.perceptron, question: 20_000, outputs: 1000)
    let client = try deploy(site, model).clients[0]
    // 20,000 rows of 1000 numbers of 4 bytes.
    let refusal = try client.refusal(of: .ask(number: 1, keyNumber: 1, rows: model.question(20_000, seed: 1)))
    #expect(refusal.reason.contains("the answer would take 76.2 MiB, a message holds 64.0 MiB"), "\(refusal)")
    #expect(try client.ask(2, model.question(16_000, seed: 1)).values.shape == [16_000, 1000])
  }

  /// The same question on a second connection, while it is computed for the first: computed once, answered on the second.
  @Test func aQuestionSentAgainOnAnotherConnection() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer(ownerSilence: .seconds(60))
    defer { trainer.shutDown() }
    let model = try Self.slowModel()
    let client = try deploy(site, model).clients[0]
    let rows = model.question(20_000, seed: 1)
    _ = try client.ask(1, model.question(1, seed: 2))
    try client.send(.ask(number: 2, keyNumber: 1, rows: rows))
    let again = client.again()
    #expect(try again.ask(2, rows).rowsSeen == 20_001)
    let other = ClientRequest<Float>.ask(number: 3, keyNumber: 1, rows: rows)
    try client.send(other)
    #expect(
      try again.refusal(of: .ask(number: 3, keyNumber: 1, rows: model.question(2, seed: 3))).reason.contains(
        "question 3 was asked before with other rows"))
  }

  /// A client that is gone leaves nothing: no question that counts beyond those that were answered, no session.
  @Test func aClientThatVanishes() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer(ownerSilence: .milliseconds(300))
    defer { trainer.shutDown() }
    let model = try Self.slowModel()
    let deployed = try deploy(site, model, clients: 2)
    let (gone, left) = (deployed.clients[0], deployed.clients[1])
    let rows = model.question(20_000, seed: 1)
    for number in 1...8 { try gone.send(.ask(number: number, keyNumber: 1, rows: rows)) }
    gone.connection.channel.close()
    // Until nothing is counted any more. Each time on a connection of its own: on a busy machine one falls silent for longer than the trainer waits.
    var seen = (rows: -1, since: ContinuousClock.now)
    while seen.since.duration(to: .now) < .seconds(1) {
      let now = try left.again().open().rowsSeen
      if now != seen.rows { seen = (now, .now) }
      Thread.sleep(forTimeInterval: 0.05)
    }
    #expect(seen.rows < 8 * 20_000)
    #expect(try left.again().ask(1, model.question(1, seed: 9)).rowsSeen == seen.rows + 1)
  }

  /// A second connection that only looks takes nothing from the one that asks, and leaves it its sessions when it goes.
  @Test func aSecondConnectionThatOnlyLooks() throws {
    let site = try HostedSite<Float>(.decoder)
    let trainer = site.trainer(ownerSilence: .milliseconds(600))
    defer { trainer.shutDown() }
    let client = try site.deployed().clients[0]
    let tokens = site.model.tokens(12, seed: 1)
    _ = try client.extend(1, from: 0, tokens.slice(rows: 0..<3))
    let second = client.again()
    _ = try second.open()
    second.connection.channel.close()
    // Until the second counts as gone, the first gives signs of life.
    for _ in 0..<12 {
      try client.connection.send(.ping)
      Thread.sleep(forTimeInterval: 0.1)
    }
    guard case .extended(1, 4, 4, _, _) = try client.extend(1, from: 3, tokens.slice(rows: 3..<4)) else {
      Issue.record("its session is gone")
      return
    }
  }

  /// What clients have computed is on no job's account.
  @Test func processorTimeOfQuestionsIsNoJobs() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer(ownerSilence: .seconds(60))
    defer { trainer.shutDown() }
    let model = try Self.slowModel()
    let client = try deploy(site, model).clients[0]
    // Another owner's job, which waits for its owner all the time.
    let owner = RawOwner<Float>(site.network, site.otherOwner, job: .random())
    try RawJob<Float>().begin(owner)
    func seconds() throws -> Double {
      try owner.send(.status)
      return try owner.wait { message in
        if case .status(let status) = message { return status.processorSeconds }
        return nil
      }
    }
    let (before, process) = (try seconds(), ProcessorTime.ofThisProcess)
    var number = 0
    while ProcessorTime.ofThisProcess - process < 3, number < 1000 {
      number += 1
      _ = try client.ask(number, model.question(20_000, seed: 1))
    }
    let used = ProcessorTime.ofThisProcess - process
    #expect(try seconds() - before < used / 4)
  }

  @Test func aClientThatIsWithdrawn() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer(hasEventLog: true)
    defer { trainer.shutDown() }
    let deployed = try site.deployed(clients: 2)
    let (withdrawn, left) = (deployed.clients[0], deployed.clients[1])
    let rows = site.model.question(2, seed: 1)
    _ = try withdrawn.ask(1, rows)
    _ = try site.deploy(deployed.id, revision: 2, [site.entry(left.key, deployed.copy)])
    // At once, and whenever it comes back.
    #expect(try withdrawn.connection.refusal().reason.contains("has withdrawn this client"))
    #expect(try withdrawn.refusal(of: .open).reason.contains("no job of this id"))
    #expect(try left.ask(1, rows).rowsSeen == 4)
    #expect(try EventLogLines.events(of: trainer.store).contains("client_withdrawn"))
  }

  /// An owner that is no longer listed takes its clients with it; they are back when it is.
  @Test func anOwnerThatIsNotListedAnyMore() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let client = try site.deployed().clients[0]
    let rows = site.model.question(2, seed: 1)
    _ = try client.ask(1, rows)
    site.owners.replace(with: AuthorizedKeys([site.otherOwner]))
    // The list is in force with one of the next messages.
    let deadline = ContinuousClock.now + .seconds(120)
    var refusal: RawOwner<Float>.Refusal?
    var number = 1
    while refusal == nil, ContinuousClock.now < deadline {
      number += 1
      do { _ = try client.ask(number, rows) } catch let error as RawOwner<Float>.Refusal { refusal = error }
    }
    #expect(refusal?.reason.contains("no job of this id") == true)
    site.owners.replace(with: AuthorizedKeys([site.ownerKey]))
    Thread.sleep(forTimeInterval: 0.1)
    _ = try client.ask(number + 1, rows)
  }
}
