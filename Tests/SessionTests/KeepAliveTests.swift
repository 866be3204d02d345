import Foundations
import Foundation
import OwnerRole
import Synchronization
import Numerics
import Testing
import TestSupport
import Protocol

@Suite(.waiting) struct KeepAliveTests {
  /// An answer every tenth of a second, and a count of what the owner says.
  private final class TalkativeTrainer: OwnerChannel {
    private let counted = Mutex(0)

    var pings: Int { counted.withLock { $0 } }
    var isConnected: Bool { true }

    func send(_ message: Message) throws(TransportError) {
      if let (_, spoken) = try? MessageCodec<Float>().ownerMessage(message), case .ping = spoken {
        counted.withLock { $0 += 1 }
      }
    }

    func receive(timeout: Duration) throws(TransportError) -> Message? {
      Thread.sleep(forTimeInterval: 0.1)
      return MessageCodec<Float>().frames(TrainerMessage<Float>.checkpointed(step: 1), job: KeepAliveTests.job)
    }

    func wake() {}
    func close() {}
  }

  /// A trainer that cannot be reached, at an address whose fault is known.
  private final class UnreachableTrainer: OwnerChannel {
    var isConnected: Bool { false }
    var addressProblem: String? { "the host name 'trainer.invalid' is not known here" }

    func send(_ message: Message) throws(TransportError) {}

    func receive(timeout: Duration) throws(TransportError) -> Message? {
      Thread.sleep(forTimeInterval: timeout / .seconds(1))
      return nil
    }

    func wake() {}
    func close() {}
  }

  private static let job = JobID.random()

  @Test func anOwnerThatWaitsIsToldWhatIsWrongWithTheAddress() {
    let connection = TrainerConnection<Float>(
      channel: UnreachableTrainer(), job: Self.job, software: "test owner", peer: "the trainer")
    var told: [String] = []
    let error = #expect(throws: OwnerError.self) { try connection.greet(patience: .zero, waiting: { told.append($0) }) }
    let problem = "the trainer does not answer: the host name 'trainer.invalid' is not known here"
    #expect(told == [problem])
    #expect(error == .trainerGone("\(problem); check that it runs there"))
  }

  /// A trainer on a loaded machine: it has taken the connection, and refuses long after patience has run out.
  private final class SlowRefusal: OwnerChannel {
    private let start = ContinuousClock.now
    private let owner: OwnerKey

    init(_ owner: OwnerKey) {
      self.owner = owner
    }

    var isConnected: Bool { false }
    var isHandshaking: Bool { true }

    func send(_ message: Message) throws(TransportError) {}

    func receive(timeout: Duration) throws(TransportError) -> Message? {
      Thread.sleep(forTimeInterval: timeout / .seconds(1))
      guard start.duration(to: .now) > .milliseconds(1_700) else { return nil }
      throw .refused(endpoint: "here", ownerKey: owner)
    }

    func wake() {}
    func close() {}
  }

  /// However long the trainer takes to say so.
  @Test func anOwnerWhoIsNotListedIsRefusedAndNotToldThatNobodyIsThere() throws {
    let connection = TrainerConnection<Float>(
      channel: SlowRefusal(try CurveKeyPair.generate().ownerKey), job: Self.job, software: "test owner")
    let error = #expect(throws: TransportError.self) { try connection.greet(patience: .zero) }
    #expect(error?.kind == .refused)
  }

  /// A trainer at work on many parts answers often and hears nothing: it must not take the owner for lost.
  @Test func anOwnerWithNothingToSendIsHeardWhileAnswersKeepComing() throws {
    let channel = TalkativeTrainer()
    let connection = TrainerConnection<Float>(channel: channel, job: Self.job, software: "test owner")
    for _ in 0..<35 { _ = try connection.receive(timeout: .seconds(1)) }
    // 3.5 seconds, a ping after each full one in which nothing was sent.
    #expect((2...3).contains(channel.pings))
  }
}
