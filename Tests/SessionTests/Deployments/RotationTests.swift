import Foundation
import Foundations
import Numerics
import Synchronization
import Testing
import TestSupport
import Protocol

/// Copies under other keys take the place of those before without a failed question.
@Suite(.waiting, .timeLimit(.minutes(5))) struct RotationTests {
  /// Asks until told to stop; asked under an old key, asks again under the one that it is told of, as every client does.
  ///
  /// `@unchecked Sendable`: its thread alone touches the models.
  private final class Questioner: @unchecked Sendable {
    private let client: RawClient<Float>
    private let models: [SmallHostedModel<Float>]
    private let state = Mutex((stop: false, answers: 0, rekeyings: 0, problems: [String]()))
    private let ended = DispatchSemaphore(value: 0)

    /// - Parameter models: by key number, from 1.
    init(_ client: RawClient<Float>, _ models: [SmallHostedModel<Float>]) {
      self.client = client
      self.models = models
      let thread = Thread { [self] in
        do { try run() } catch { state.withLock { $0.problems.append("\(error)") } }
        ended.signal()
      }
      thread.stackSize = 8 << 20
      thread.start()
    }

    private func run() throws {
      var (number, keyNumber) = (1, 1)
      while !state.withLock(\.stop) {
        let rows = models[0].question(1 + number % 16, seed: UInt64(number))
        try client.send(.ask(number: number, keyNumber: keyNumber, rows: rows))
        switch try client.connection.next() {
        case .deployment(.rekeyed(let terms)):
          keyNumber = terms.keyNumber
          let isSealed = terms.package == Data([UInt8(keyNumber), 7])
          state.withLock { state in
            state.rekeyings += 1
            if !isSealed { state.problems.append("another client's package") }
          }
        case .deployment(.answered(number, _, let values)):
          let isRight = SmallHostedModel.areAlike(values, try models[keyNumber - 1].outputs(rows))
          state.withLock { state in
            state.answers += 1
            if !isRight { state.problems.append("question \(number) under key \(keyNumber)") }
          }
          number += 1
        case let message: state.withLock { $0.problems.append("\(message)") }
        }
      }
    }

    var answers: Int { state.withLock(\.answers) }

    func end() -> (answers: Int, rekeyings: Int, problems: [String]) {
      state.withLock { $0.stop = true }
      ended.wait()
      return state.withLock { ($0.answers, $0.rekeyings, $0.problems) }
    }
  }

  @Test func rotationsUnderLoad() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let models = try (1...4).map { try SmallHostedModel<Float>(.perceptron, seed: UInt64($0)) }
    let keys = try (0..<3).map { _ in try site.client() }
    let id = JobID.random()
    var copy = try site.upload(models[0])
    _ = try site.deploy(id, keys.map { site.entry($0, copy) })
    // Each has models of its own: one thread at a time may run one.
    let questioners = try keys.map { key in
      Questioner(
        RawClient(site.network, key, deployment: id),
        try (1...4).map { try SmallHostedModel<Float>(.perceptron, seed: UInt64($0)) })
    }
    var before: [JobID] = []
    for keyNumber in 2...4 {
      let asked = questioners.map(\.answers)
      while zip(questioners, asked).contains(where: { $0.answers < $1 + 20 }) { Thread.sleep(forTimeInterval: 0.005) }
      before.append(copy)
      copy = try site.upload(models[keyNumber - 1])
      _ = try site.deploy(
        id, revision: keyNumber, keys.map { site.entry($0, copy, keyNumber: keyNumber) })
    }
    let asked = questioners.map(\.answers)
    while zip(questioners, asked).contains(where: { $0.answers < $1 + 20 }) { Thread.sleep(forTimeInterval: 0.005) }
    for questioner in questioners {
      let result = questioner.end()
      #expect(result.problems == [] && result.rekeyings == 3, "\(result)")
    }
    // The copies before are gone.
    for copy in before {
      let owner = RawOwner<Float>(site.network, site.ownerKey, job: copy)
      #expect(try owner.refusal(of: .status).reason.contains("no job of this id"))
    }
  }

  /// Its answer was lost, and then came the rotation: the question has its answer under the new key, and is counted under both.
  @Test func aQuestionThatWasAnsweredUnderTheKeyBefore() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let (id, _, clients) = try site.deployed()
    let client = clients[0]
    let rows = site.model.question(4, seed: 1)
    #expect(try client.ask(1, rows).rowsSeen == 4)
    let model = try SmallHostedModel<Float>(.perceptron, seed: 2)
    let second = try site.upload(model)
    _ = try site.deploy(id, revision: 2, [site.entry(client.key, second, keyNumber: 2)])
    try client.send(.ask(number: 1, keyNumber: 1, rows: rows))
    let keyNumber = try client.connection.wait { message in
      if case .deployment(.rekeyed(let terms)) = message { return terms.keyNumber }
      return nil
    }
    #expect(keyNumber == 2)
    let masked = site.model.question(4, seed: 2)
    let answer = try client.ask(1, masked, keyNumber: 2)
    #expect(SmallHostedModel.areAlike(answer.values, try model.outputs(masked)) && answer.rowsSeen == 8)
    #expect(
      try client.refusal(of: .ask(number: 1, keyNumber: 2, rows: rows)).reason.contains("other rows"))
  }

  /// Rows of a model count under all of its keys.
  @Test func rowsAreCountedOverAllKeys() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let (id, copy, clients) = try site.deployed(maximumRows: 10)
    let rows = site.model.question(4, seed: 1)
    #expect(try clients[0].ask(1, rows).rowsSeen == 4)
    let second = try site.upload(SmallHostedModel(.perceptron, seed: 2))
    _ = try site.deploy(id, revision: 2, [site.entry(clients[0].key, second, keyNumber: 2)], maximumRows: 10)
    #expect(try clients[0].ask(2, rows, keyNumber: 2).rowsSeen == 8)
    #expect(
      try clients[0].refusal(of: .ask(number: 3, keyNumber: 2, rows: rows)).reason.contains("2 left"))
    #expect(copy != second)
  }

  /// A copy for each client: withdrawing one leaves the other's alone.
  @Test func separateCopies() throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let models = try (1...2).map { try SmallHostedModel<Float>(.perceptron, seed: UInt64($0)) }
    let copies = try models.map { try site.upload($0) }
    let keys = try (0..<2).map { _ in try site.client() }
    let id = JobID.random()
    _ = try site.deploy(id, [site.entry(keys[0], copies[0]), site.entry(keys[1], copies[1])])
    let clients = keys.map { RawClient<Float>(site.network, $0, deployment: id) }
    let rows = models[0].question(3, seed: 1)
    for (client, model) in zip(clients, models) {
      #expect(SmallHostedModel.areAlike(try client.ask(1, rows).values, try model.outputs(rows)))
    }
    _ = try site.deploy(id, revision: 2, [site.entry(keys[1], copies[1])])
    #expect(SmallHostedModel.areAlike(try clients[1].ask(2, rows).values, try models[1].outputs(rows)))
    let owner = RawOwner<Float>(site.network, site.ownerKey, job: copies[0])
    #expect(try owner.refusal(of: .status).reason.contains("no job of this id"))
  }
}
