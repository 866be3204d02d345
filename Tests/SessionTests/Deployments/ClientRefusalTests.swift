import Foundation
import Foundations
import Numerics
import Testing
import TestSupport
import Protocol

/// What a client may not do is refused with the reason, and neither the host nor other clients are the worse for it.
@Suite(.waiting, .timeLimit(.minutes(5))) struct ClientRefusalTests {
  private struct Stage {
    let site: HostedSite<Float>
    let trainer: TrainerHost<Float>
    let id: JobID
    let copy: JobID
    let client: RawClient<Float>
    let other: RawClient<Float>

    init(_ kind: SmallHostedModel<Float>.Kind = .perceptron, maximumRows: Int? = nil) throws {
      site = try HostedSite<Float>(kind)
      trainer = site.trainer(hasEventLog: true)
      let deployed = try site.deployed(clients: 2, maximumRows: maximumRows)
      (id, copy, client, other) = (deployed.id, deployed.copy, deployed.clients[0], deployed.clients[1])
    }

    func rows(_ count: Int = 3, seed: UInt64 = 1) -> RowDelivery<Float> {
      site.model.question(count, seed: seed)
    }

    /// The other client has its answers as if nothing had happened.
    func expectServing(_ number: Int = 1000) throws {
      let answer = try other.ask(number, rows())
      #expect(SmallHostedModel.areAlike(answer.values, try site.model.outputs(rows())))
    }
  }

  @Test func aStranger() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    let stranger = RawClient<Float>(stage.site.network, try stage.site.client(), deployment: stage.id)
    for request: ClientRequest<Float> in [.open, .ask(number: 1, keyNumber: 1, rows: stage.rows())] {
      #expect(try stranger.refusal(of: request).reason.contains("no job of this id"))
    }
    #expect(try stranger.connection.refusal(of: .hello(software: "x")).reason.contains("not listed"))
    try stage.expectServing()
  }

  /// Of another deployment, and a deployment that never was: both look the same, and so does everything that owners do.
  @Test func aClientOfAnotherDeployment() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    let second = try stage.site.deployed()
    for id in [second.id, .random(), .none, stage.copy] {
      let intruder = RawClient<Float>(stage.site.network, stage.client.key, deployment: id)
      let refusal = try intruder.refusal(of: .open)
      #expect(refusal.kind == .refused && refusal.reason == "this trainer has no job of this id for this owner")
    }
    let requests: [OwnerMessage<Float>] = [
      .submit(stage.site.model.description), .status, .cancel, .retrieve(chunk: 0), .attach(historySteps: 0),
      .deployment(.status), .deployment(.list), .deployment(.undeploy),
      .deployment(.deploy(.init(revision: 9, clients: [], maximumRows: nil))),
    ]
    for request in requests {
      #expect(try stage.client.connection.refusal(of: request).reason.contains("no job of this id"), "\(request)")
    }
    try stage.client.connection.send(.hello(software: "client"))
    try stage.client.connection.wait { message in
      if case .welcome = message { return () }
      return nil
    }
    try stage.expectServing()
  }

  @Test func anotherOwner() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    let owner = RawOwner<Float>(stage.site.network, stage.site.otherOwner, job: stage.id)
    let description = DeploymentDescription(
      revision: 2, clients: [stage.site.entry(stage.client.key, stage.copy)], maximumRows: nil)
    for request: DeploymentRequest in [.status, .undeploy, .deploy(description)] {
      #expect(try owner.refusal(of: .deployment(request)).reason.contains("no job of this id"))
    }
    // Nor may it use the other's copy.
    let own = RawOwner<Float>(stage.site.network, stage.site.otherOwner, job: .random())
    #expect(try own.refusal(of: .deployment(.deploy(description))).reason.contains("no whole copy"))
    #expect(try own.refusal(of: .question(.open)).reason.contains("no job of this id"))
    try stage.expectServing()
  }

  /// No other owner's job comes under a deployment's id, and none that is there keeps its owner from changing it.
  @Test func aJobUnderTheIdOfADeployment() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    for key in [stage.site.otherOwner, stage.site.ownerKey] {
      let owner = RawOwner<Float>(stage.site.network, key, job: stage.id)
      #expect(try owner.refusal(of: .submit(RawJob<Float>().description)).reason.contains("no job of this id"))
    }
    let entry = stage.site.entry(stage.other.key, stage.copy)
    #expect(try stage.site.deploy(stage.id, revision: 2, [entry]).clients.count == 1)
    #expect(try stage.client.refusal(of: .open).reason.contains("no job of this id"))
    try stage.expectServing()
  }

  @Test func anUnknownCopy() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    let owner = RawOwner<Float>(stage.site.network, stage.site.ownerKey, job: .random())
    let unknown = DeploymentDescription(
      revision: 1, clients: [stage.site.entry(stage.client.key, .random())], maximumRows: nil)
    #expect(try owner.refusal(of: .deployment(.deploy(unknown))).reason.contains("no whole copy"))
    let used = DeploymentDescription(
      revision: 1, clients: [stage.site.entry(stage.client.key, stage.copy)], maximumRows: nil)
    #expect(try owner.refusal(of: .deployment(.deploy(used))).reason.contains("in use in another deployment"))
    try stage.expectServing()
  }

  @Test func anOldRevision() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    let clients = [stage.client, stage.other].map { stage.site.entry($0.key, stage.copy) }
    let owner = RawOwner<Float>(stage.site.network, stage.site.ownerKey, job: stage.id)
    func description(_ revision: Int, maximumRows: Int? = nil) -> DeploymentDescription {
      DeploymentDescription(revision: revision, clients: clients, maximumRows: maximumRows)
    }
    // The same again is answered again.
    #expect(try owner.deploy(description(1)).revision == 1)
    #expect(try owner.deploy(description(3)).revision == 3)
    #expect(try owner.refusal(of: .deployment(.deploy(description(2)))).reason.contains("revision 3"))
    #expect(
      try owner.refusal(of: .deployment(.deploy(description(3, maximumRows: 5)))).reason.contains("another revision 3"))
    try stage.expectServing()
  }

  // MARK: Questions

  @Test func rowsThatTheModelDoesNotTake() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    let bad: [(String, RowDelivery<Float>)] = [
      ("rows are 7 wide, the model's input is 5", RawJob<Float>.rows(0..<2, width: 7)),
      ("NaN", RawJob<Float>.rows(0..<2, value: .nan)),
      ("question of 17 exceeds the limit of 16", stage.rows(17)),
      ("samples of several tokens for a model of rows", try SmallHostedModel<Float>(.encoder).question(2, seed: 1)),
    ]
    for (index, (reason, rows)) in bad.enumerated() {
      let refusal = try stage.client.refusal(of: .ask(number: index + 1, keyNumber: 1, rows: rows))
      #expect(refusal.kind == .refused && refusal.reason.contains(reason), "\(refusal)")
    }
    // None of them counts.
    #expect(try stage.client.open().rowsSeen == 0)
    try stage.expectServing()
  }

  @Test func sequencesThatTheModelDoesNotTake() throws {
    let stage = try Stage(.encoder)
    defer { stage.trainer.shutDown() }
    let long = RowDelivery<Float>(
      slots: Tensor([0], shape: [1]), lengths: Tensor([13], shape: [1]), pooled: Tensor([0], shape: [1]),
      values: Tensor(zeros: [13, stage.site.model.width]))
    #expect(
      try stage.client.refusal(of: .ask(number: 1, keyNumber: 1, rows: long)).reason.contains(
        "sample of 13 exceeds the limit of 12"))
    let rows = RawJob<Float>.rows(0..<2, width: stage.site.model.width)
    #expect(
      try stage.client.refusal(of: .ask(number: 1, keyNumber: 1, rows: rows)).reason.contains("without their lengths"))
    #expect(
      try stage.client.refusal(
        of: .extend(session: 1, keyNumber: 1, position: 0, largest: 0, tokens: stage.site.model.tokens(2, seed: 1))
      ).reason.contains("generates no text"))
    try stage.expectServing()
  }

  /// The same rows: the same answer, counted once; others: refused. Also after a restart.
  @Test func aNumberThatWasUsedBefore() throws {
    let stage = try Stage()
    let first = try stage.client.ask(5, stage.rows())
    let again = try stage.client.ask(5, stage.rows())
    #expect(SmallHostedModel.areAlike(again.values, first.values) && again.rowsSeen == 3 && first.rowsSeen == 3)
    let other = ClientRequest<Float>.ask(number: 5, keyNumber: 1, rows: stage.rows(seed: 2))
    #expect(try stage.client.refusal(of: other).reason.contains("question 5 was asked before with other rows"))
    // A smaller number that was never used is one of those that overtook each other.
    #expect(try stage.client.ask(4, stage.rows(seed: 3)).rowsSeen == 6)
    stage.trainer.shutDown()

    let trainer = stage.site.trainer()
    defer { trainer.shutDown() }
    let client = stage.client.again()
    #expect(try client.open().lastQuestion == 5)
    let late = try client.ask(5, stage.rows())
    #expect(SmallHostedModel.areAlike(late.values, first.values) && late.rowsSeen == 6)
    #expect(try client.refusal(of: other).reason.contains("other rows"))
  }

  /// Only the last numbers are kept; an older one might be anything.
  @Test func aNumberThatIsNotKeptAnyMore() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    for number in 1...300 { _ = try stage.client.ask(number, stage.rows(1)) }
    #expect(
      try stage.client.refusal(of: .ask(number: 3, keyNumber: 1, rows: stage.rows(1))).reason.contains(
        "number questions upwards"))
    #expect(try stage.client.ask(300, stage.rows(1)).rowsSeen == 300)
  }

  @Test func rowsThatAreUsedUp() throws {
    let stage = try Stage(maximumRows: 10)
    #expect(try stage.client.ask(1, stage.rows(4)).rowsSeen == 4)
    #expect(try stage.other.ask(1, stage.rows(4)).rowsSeen == 8)
    let refusal = try stage.client.refusal(of: .ask(number: 2, keyNumber: 1, rows: stage.rows(3)))
    #expect(refusal.kind == .refused && refusal.reason.contains("10 rows in all"))
    #expect(refusal.reason.contains("2 left, and this question has 3"))
    #expect(try stage.client.ask(2, stage.rows(2)).rowsSeen == 10)
    // What was answered is answered again; nothing new is, after a restart neither.
    #expect(try stage.client.ask(2, stage.rows(2)).rowsSeen == 10)
    stage.trainer.shutDown()
    let trainer = stage.site.trainer()
    defer { trainer.shutDown() }
    let client = stage.client.again()
    #expect(
      try client.refusal(of: .ask(number: 3, keyNumber: 1, rows: stage.rows(1))).reason.contains("0 left"))
    // The owner may allow more.
    let clients = [stage.client, stage.other].map { stage.site.entry($0.key, stage.copy) }
    _ = try stage.site.deploy(stage.id, revision: 2, clients, maximumRows: 11)
    #expect(try client.ask(3, stage.rows(1)).rowsSeen == 11)
  }
}
