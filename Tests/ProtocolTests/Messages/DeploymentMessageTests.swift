import Foundation
import Foundations
import Models
import Numerics
import Testing

@testable import Protocol

/// What is no message about a deployment is refused by what is wrong with it.
struct DeploymentMessageTests {
  private let codec = MessageCodec<Float>()

  private func refusal(_ change: (inout DeploymentDescription) -> Void) -> WireError? {
    var description = MessageFixtures.deployment
    change(&description)
    do throws(WireError) {
      _ = try codec.ownerMessage(codec.frames(.deployment(.deploy(description)), job: MessageFixtures.job))
      return nil
    } catch {
      return error
    }
  }

  @Test func descriptionsOutOfRange() {
    #expect(refusal { _ in } == nil)
    #expect(refusal { $0.revision = 0 } == .invalidJob("the revision of a deployment counts from 1"))
    #expect(refusal { $0.maximumRows = 0 } == .invalidJob("the most rows of a deployment must be 1 … 2^50"))
    #expect(refusal { $0.clients += $0.clients } == .invalidJob("a client's key twice"))
    #expect(refusal { $0.clients[0].key = "short" } == .invalidJob("a client's key that is none"))
    #expect(refusal { $0.clients[0].copy = .none } == .invalidJob("a client without a copy of the model"))
    #expect(refusal { $0.clients[0].keyNumber = 0 } == .invalidJob("a key's number counts from 1"))
    #expect(
      refusal { $0.clients[0].package = Data(count: 193) }
        == .invalidJob("a sealed key of 193 bytes; at most 192 are taken"))
    #expect(
      refusal { description in
        description.clients = (0...DeploymentDescription.maximumClients).map { number in
          var client = MessageFixtures.client
          client.key = String(format: "%040d", number)
          return client
        }
      } == .invalidJob("a deployment has at most 2000 clients, not 2001"))
  }

  @Test func questionsWithoutANumberOrRows() {
    func ask(_ number: Int, carried: [UInt8]) -> [Data] {
      codec.frames(
        .question(
          .ask(
            number: number, keyNumber: 1,
            rows: RowDelivery(
              slots: Tensor(carried.map { _ in 0 }, shape: [carried.count]),
              carried: Tensor(carried, shape: [carried.count]),
              values: Tensor(zeros: [carried.count { $0 == 1 }, 2])))), job: MessageFixtures.job)
    }
    let expected = WireError.malformed("a question without a number of 1 … 2^52, or without all of its rows")
    for number in [1, 1 << 52] {
      #expect(throws: Never.self) { _ = try codec.ownerMessage(ask(number, carried: [1, 1])) }
    }
    #expect(throws: expected) { _ = try codec.ownerMessage(ask(1 << 52 + 1, carried: [1])) }
    #expect(throws: expected) { _ = try codec.ownerMessage(ask(0, carried: [1])) }
    #expect(throws: expected) { _ = try codec.ownerMessage(ask(1, carried: [1, 0])) }
    #expect(throws: expected) { _ = try codec.ownerMessage(ask(1, carried: [])) }
    func extend(_ session: Int, tokens: Int) -> [Data] {
      codec.frames(
        .question(
          .extend(session: session, keyNumber: 1, position: 0, largest: 0, tokens: Tensor(zeros: [tokens, 2]))),
        job: MessageFixtures.job)
    }
    let none = WireError.malformed("a session beyond the number 2^52, or one that is extended by no token")
    #expect(throws: Never.self) { _ = try codec.ownerMessage(extend(1 << 52, tokens: 1)) }
    #expect(throws: none) { _ = try codec.ownerMessage(extend(1, tokens: 0)) }
    #expect(throws: none) { _ = try codec.ownerMessage(extend(1 << 52 + 1, tokens: 1)) }
  }

  /// As many clients as there may be, each with as large a package, are one message, and so is what an owner of several such deployments is told.
  @Test func theLargestDeploymentFitsAMessage() throws {
    var random = SystemRandomNumberGenerator()
    let clients = (0..<DeploymentDescription.maximumClients).map { number in
      DeploymentDescription.Client(
        key: String(format: "%040d", number), copy: .random(), keyNumber: 1 << 40,
        package: Data(
          (0..<DeploymentDescription.maximumPackageBytes).map { _ in UInt8.random(in: .min ... .max, using: &random) }))
    }
    let largest = DeploymentDescription(revision: 1 << 40, clients: clients, maximumRows: 1 << 50)
    let message = OwnerMessage<Float>.deployment(.deploy(largest))
    #expect(try codec.ownerMessage(codec.frames(message, job: MessageFixtures.job)).message == message)

    var status = MessageFixtures.status
    status.clients = clients.map { .init(key: $0.key, keyNumber: 1 << 40, questions: 1 << 52, rows: 1 << 52) }
    status.clientCount = clients.count
    let one = TrainerMessage<Float>.deployment(.deployed(status))
    #expect(try codec.trainerMessage(codec.frames(one, job: MessageFixtures.job)).message == one)
    let many = TrainerMessage<Float>.deployment(.list((0..<1000).map { _ in status.withoutClients }))
    #expect(try codec.trainerMessage(codec.frames(many, job: .none)).message == many)
  }

  /// Versions before the fifth have none of these messages.
  @Test(arguments: [WireVersion.two, .three, .four]) func deploymentsNeedVersionFive(_ version: WireVersion) throws {
    for message in MessageFixtures.ofDeployments {
      let frames = message.envelope(for: MessageFixtures.job).frames(version: version)
      #expect(throws: WireError.malformed("an unknown kind of message")) { _ = try codec.ownerMessage(frames) }
    }
  }

  @Test func answersWhoseIndicesDoNotFit() {
    #expect(throws: WireError.misshapen("outputs that their indices do not fit")) {
      _ = try codec.trainerMessage(
        codec.frames(
          .deployment(
            .extended(
              session: 1, position: 1, rowsSeen: 1, indices: Tensor([1, 2], shape: [2]),
              values: Tensor(zeros: [1, 3]))), job: MessageFixtures.job))
    }
  }

  /// A model to host means nothing to a version that knows no deployments.
  @Test func hostingNeedsVersionFive() throws {
    var description = MessageFixtures.description
    description.purpose = .hosting
    (description.trainingRows, description.epochs, description.stepsPerEpoch) = (0, 1, 1)
    description.batch = description.microBatch
    description.task = nil
    description.lossLocation = .owner
    let message = OwnerMessage<Float>.submit(description)
    _ = try codec.ownerMessage(codec.frames(message, job: MessageFixtures.job))
    let old = message.envelope(for: MessageFixtures.job).frames(version: .four)
    #expect(throws: WireError.invalidJob("hosting a model needs wire version 5")) { _ = try codec.ownerMessage(old) }
  }
}
