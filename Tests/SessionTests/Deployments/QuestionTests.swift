import Foundation
import Foundations
import Models
import Numerics
import Testing
import TestSupport
import Protocol

/// Copies are uploaded and kept, deployed, and asked; answers are those of the same weights in this process.
@Suite(.waiting, .timeLimit(.minutes(5))) struct QuestionTests {
  @Test(arguments: SmallHostedModel<Float>.Kind.allCases)
  func answersAreTheModelsOwn(_ kind: SmallHostedModel<Float>.Kind) throws {
    try checkAnswers(HostedSite<Float>(kind))
  }

  @Test(arguments: SmallHostedModel<Double>.Kind.allCases)
  func answersAreTheModelsOwnInDouble(_ kind: SmallHostedModel<Double>.Kind) throws {
    try checkAnswers(HostedSite<Double>(kind))
  }

  private func checkAnswers<Element: FloatingElement>(_ site: HostedSite<Element>) throws {
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let (_, _, clients) = try site.deployed(clients: 2)
    var seen = 0
    for number in 1...3 {
      for (index, client) in clients.enumerated() {
        let rows = site.model.question(number * 5, seed: UInt64(10 * number + index))
        let answer = try client.ask(number, rows)
        // Of sequences every token.
        seen +=
          site.model.description.graph.maximumTokens == nil
          ? rows.count : rows.lengths.elements.reduce(0) { $0 + Int($1) }
        #expect(SmallHostedModel.areAlike(answer.values, try site.model.outputs(rows)))
        #expect(answer.rowsSeen == seen)
      }
    }
  }

  /// A window of questions at a time, of several clients: batched or not, each has its own answer.
  @Test(arguments: SmallHostedModel<Float>.Kind.allCases)
  func manyQuestionsAtOnce(_ kind: SmallHostedModel<Float>.Kind) throws {
    let site = try HostedSite<Float>(kind)
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let (_, _, clients) = try site.deployed(clients: 4)
    func rows(_ client: Int, _ number: Int) -> RowDelivery<Float> {
      site.model.question(1 + (client + number) % 16, seed: UInt64(100 * client + number))
    }
    for round in 0..<3 {
      let numbers = (1...8).map { 8 * round + $0 }
      for number in numbers {
        for (index, client) in clients.enumerated() {
          try client.send(.ask(number: number, keyNumber: 1, rows: rows(index, number)))
        }
      }
      for (index, client) in clients.enumerated() {
        for number in numbers {
          let answer = try client.answer(to: number)
          #expect(SmallHostedModel.areAlike(answer.values, try site.model.outputs(rows(index, number))))
        }
      }
    }
  }

  @Test func openingTellsTheTerms() throws {
    let site = try HostedSite<Float>(.encoder, question: 7)
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let copy = try site.upload()
    let id = JobID.random()
    let key = try site.client()
    _ = try site.deploy(id, [site.entry(key, copy, keyNumber: 3)], maximumRows: 50)
    let client = RawClient<Float>(site.network, key, deployment: id)
    var terms = try client.open()
    #expect(
      terms
        == DeploymentTerms(
          keyNumber: 3, package: site.entry(key, copy, keyNumber: 3).package, window: 8, rowsPerQuestion: 7,
          maximumTokens: 12, rowsSeen: 0, maximumRows: 50, lastQuestion: 0, lastSession: 0))
    let rows = site.model.question(5, seed: 1)
    _ = try client.ask(41, rows, keyNumber: 3)
    terms = try client.open()
    #expect(rows.values.rows > 5 && terms.rowsSeen == rows.values.rows && terms.lastQuestion == 41)
  }

  @Test func anOwnerSeesItsDeploymentsAndTakesThemDown() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer(hasEventLog: true)
    defer { trainer.shutDown() }
    let (id, copy, clients) = try site.deployed(clients: 2)
    _ = try clients[1].ask(1, site.model.question(4, seed: 1))
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: id)
    try owner.send(.deployment(.status))
    let status = try owner.status()
    #expect(status.id == id && status.revision == 1 && status.questions == 1 && status.rows == 4)
    #expect(status.clients.map(\.questions) == [0, 1] && status.clients.map(\.key) == clients.map(\.key.z85))
    #expect(status.memoryBytes > 0 && status.storedBytes > 0 && status.medianMilliseconds != nil)
    #expect(try owner.list().map(\.id) == [id])
    let other = RawOwner<Float>(site.network, site.otherOwner, job: .none)
    #expect(try other.list() == [])

    try owner.undeploy()
    #expect(try owner.list() == [])
    #expect(try clients[0].refusal(of: .open).reason.contains("no job of this id"))
    let copies = RawOwner<Float>(site.network, site.ownerKey, job: copy)
    #expect(try copies.refusal(of: .status).reason.contains("no job of this id"))
    #expect(!FileManager.default.fileExists(atPath: trainer.store.appending(path: "deployments/\(id)").path))
    let events = try EventLogLines.events(of: trainer.store)
    #expect(events.contains("deployed") && events.contains("undeployed"))
  }

  /// Complete, it is never started, and its owner may ask how it is.
  @Test func aCopyIsKeptAndNeverRuns() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let copy = try site.upload()
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: copy)
    try owner.send(.status)
    let state = try owner.wait { message in
      if case .status(let status) = message { return status.state }
      return nil
    }
    #expect(state == .hosted)
    #expect(try owner.refusal(of: .attach(historySteps: 0)).reason.contains("hosted"))
    _ = try site.deploy(.random(), [site.entry(site.client(), copy)])
    #expect(try owner.refusal(of: .cancel).reason.contains("in use in deployment"))
  }

  /// A killed upload goes on with the same submission.
  @Test func anUploadThatWasCutShort() throws {
    let site = try HostedSite<Float>(.frozenEncoder)
    let trainer = site.trainer()
    let copy = JobID.random()
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: copy)
    try owner.send(.submit(site.model.description))
    try owner.send(.parameters(chunk: 0, values: site.model.parameters[0]))
    try owner.wait { message in
      if case .stored(1) = message { return () }
      return nil
    }
    owner.channel.close()
    #expect(throws: RawOwner<Float>.Refusal.self) { try site.deploy(.random(), [site.entry(site.client(), copy)]) }
    trainer.shutDown()
    let second = site.trainer()
    defer { second.shutDown() }
    try site.upload(as: copy)
    let key = try site.client()
    let id = JobID.random()
    _ = try site.deploy(id, [site.entry(key, copy)])
    let rows = site.model.question(3, seed: 1)
    let answer = try RawClient<Float>(site.network, key, deployment: id).ask(1, rows)
    #expect(SmallHostedModel.areAlike(answer.values, try site.model.outputs(rows)))
  }
}
