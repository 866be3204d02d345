import Foundation
import Foundations
import Numerics
import Testing
import TestSupport
import Protocol

@testable import Service
@testable import TrainerRole

/// A client gets no more answers than it reads: the host does not keep them for it.
@Suite(.waiting, .timeLimit(.minutes(5))) struct UnreadAnswerTests {
  private func answered(by trainer: TrainerHost<Float>) -> Int {
    var text = MetricsText()
    trainer.deploymentMetrics.add(to: &text, memoryLimit: 0)
    let name = "trainer_deployment_questions_total "
    return text.text.split(separator: "\n").first { $0.hasPrefix(name) }.flatMap { Int($0.dropFirst(name.count)) } ?? -1
  }

  /// The same question over and over, whose answers are as large as a message: counted once, so that no limit of rows ends it.
  @Test(arguments: [1, 3]) func aClientThatDoesNotRead(_ connections: Int) throws {
    let site = try HostedSite<Float>()
    let trainer = site.trainer(ownerSilence: .seconds(60))
    defer { trainer.shutDown() }
    let model = try SmallHostedModel<Float>(.perceptron, question: 16_000, outputs: 1000)
    let copy = try site.upload(model)
    let id = JobID.random()
    let keys = try (0..<2).map { _ in try site.client() }
    _ = try site.deploy(id, keys.map { site.entry($0, copy) })
    let other = RawClient<Float>(site.network, keys[1], deployment: id)
    _ = try other.ask(1, model.question(1, seed: 2))
    // 16,000 rows of 1000 numbers of 4 bytes are 61 MiB: two fit 128 MiB.
    let rows = model.question(16_000, seed: 1)
    let hostile = (0..<connections).map { _ in RawClient<Float>(site.network, keys[0], deployment: id) }
    var asked = 0
    for round in 0..<4 {
      for client in hostile {
        asked += 1
        try client.send(.ask(number: asked, keyNumber: 1, rows: rows))
      }
      // In between the other one is served.
      #expect(try other.ask(2 + round, model.question(1, seed: 3)).values.shape == [1, 1000])
      Thread.sleep(forTimeInterval: 0.5)
    }
    #expect(answered(by: trainer) == 5 + 2)
    // Whoever reads goes on. Of all its connections: what one of them leaves unread keeps the others waiting.
    var (answers, refusals) = (0, 0)
    let deadline = ContinuousClock.now + .seconds(60)
    while answers + refusals < asked, ContinuousClock.now < deadline {
      for client in hostile {
        guard let frames = try client.connection.channel.receive(timeout: .milliseconds(20)) else { continue }
        switch try client.connection.codec.trainerMessage(frames).message {
        case .deployment(.answered(_, _, let values)):
          #expect(values.shape == [16_000, 1000])
          answers += 1
        // More than the window.
        case .refused: refusals += 1
        default: break
        }
      }
    }
    // Those that were answered in the meantime have made room in the window.
    #expect(answers + refusals == asked && answers >= min(asked, 8), "\(answers) of \(asked), \(refusals) refused")
  }

  private func task(_ ticket: Int, _ model: SmallHostedModel<Float>, _ store: TrainingStore) -> InferenceTask<Float> {
    InferenceTask(
      ticket: ticket,
      copy: HostedCopy(
        job: TrainingJob(id: .random(), owner: "", description: model.description, phase: .ready), store: store),
      work: .rows(model.question(1, seed: 1)))
  }

  /// Orders and sums by hand: a limit of 100 bytes for all, and of 2 × 20 for a client.
  @Test func whichMayBeComputed() throws {
    let directory = try TemporaryDirectory()
    let store = try TrainingStore(store: directory.url)
    let model = try SmallHostedModel<Float>(.perceptron)
    var credit = AnswerCredit<Float>(limit: 100, largestAnswer: 20)
    let askers = try (0..<4).map { _ in Asker(deployment: .random(), key: try CurveKeyPair.generate().ownerKey) }
    func add(_ ticket: Int, _ asker: Int, _ bytes: Int) {
      credit.add(task(ticket, model, store), of: askers[asker], answerBytes: bytes)
    }
    func next(unread: [Int: Int] = [:]) -> [Int] {
      credit.next { asker in unread[askers.firstIndex(of: asker) ?? -1] ?? 0 }.map(\.ticket)
    }
    for ticket in 1...3 { add(ticket, 0, 20) }
    add(4, 1, 5)
    // Three are more than one client may have; others pass it.
    #expect(next() == [1, 2, 4])
    #expect(next() == [])
    credit.end(1)
    // Sent, and not read.
    #expect(next(unread: [0: 20]) == [])
    #expect(next(unread: [0: 1]) == [])
    #expect(next(unread: [0: 0]) == [3])
    credit.end(2)
    credit.end(3)
    credit.end(4)
    // More unread than can be: nothing overflows.
    add(5, 0, 20)
    add(6, 0, 1)
    #expect(next(unread: [0: .max]) == [])
    // Dropped while it waits.
    credit.end(5)
    #expect(next() == [6])
    credit.end(6)
    // All together have no more than their limit, first come, first served.
    for ticket in 7...9 { add(ticket, ticket - 6, 40) }
    add(10, 0, 1)
    #expect(next() == [7, 8])
    credit.end(7)
    #expect(next() == [9, 10])
    for ticket in 8...10 { credit.end(ticket) }
    // One that is larger than the limit goes alone.
    var small = AnswerCredit<Float>(limit: 10, largestAnswer: 20)
    small.add(task(1, model, store), of: askers[0], answerBytes: 20)
    small.add(task(2, model, store), of: askers[1], answerBytes: 1)
    #expect(small.next { _ in 0 }.map(\.ticket) == [1])
    small.end(1)
    #expect(small.next { _ in 0 }.map(\.ticket) == [2])
  }
}
