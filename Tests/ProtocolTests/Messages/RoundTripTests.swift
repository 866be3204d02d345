import Foundations
import Foundation
import Numerics
import Testing

@testable import Protocol

/// What goes out comes in again, for every kind of message.
struct RoundTripTests {
  private let codec = MessageCodec<Float>()

  @Test(arguments: MessageFixtures.owner)
  func ownerMessage(_ message: OwnerMessage<Float>) throws {
    let received = try codec.ownerMessage(codec.frames(message, job: MessageFixtures.job))
    #expect(received.job == MessageFixtures.job)
    #expect(received.message == message)
  }

  @Test(arguments: MessageFixtures.trainer)
  func trainerMessage(_ message: TrainerMessage<Float>) throws {
    let received = try codec.trainerMessage(codec.frames(message, job: MessageFixtures.job))
    #expect(received.job == MessageFixtures.job)
    #expect(received.message == message)
  }

  /// The fixtures leave no kind out: codes are 1 … 22, 24 … 32 and 101 … 124, at byte 6 of the header.
  @Test func everyKindIsAmongTheFixtures() {
    let owner = MessageFixtures.owner.map { codec.frames($0, job: .none)[0][6] }
    let trainer = MessageFixtures.trainer.map { codec.frames($0, job: .none)[0][6] }
    #expect(Set(owner) == Set(1...22).union(24...32))
    #expect(Set(trainer) == Set(101...124))
  }

  @Test func doublePrecision() throws {
    let codec = MessageCodec<Double>()
    let message = OwnerMessage<Double>.gradient(step: 1, part: 2, values: Tensor([1e-300, 0.1], shape: [1, 2]))
    #expect(try codec.ownerMessage(codec.frames(message, job: .none)).message == message)
  }

  /// Metrics of an epoch without a positive label are NaN, and a diverged loss is infinite: both travel.
  @Test func historyWithoutFiniteNumbers() throws {
    let records: [ProgressRecord] = [
      .step(step: 0, loss: .infinity, learningRate: 0.1, gradientNorm: -.infinity, seconds: 0),
      .evaluation(epoch: 0, step: 1, loss: .nan, metrics: ["roc_auc": .nan], kept: false, seconds: 0),
    ]
    let received = try codec.trainerMessage(codec.frames(.progress(from: 0, records: records), job: .none))
    guard case .progress(0, let returned) = received.message,
      case .step(_, let loss, _, let norm, _) = returned.first,
      case .evaluation(_, _, let validation, let metrics, _, _) = returned.last
    else {
      Issue.record("another message came back")
      return
    }
    #expect(returned.count == 2)
    #expect(loss == .infinity && norm == -.infinity)
    #expect(validation.isNaN && metrics["roc_auc"]?.isNaN == true)
  }

  @Test func tensorWithoutElements() throws {
    let none = RowDelivery<Float>(
      slots: Tensor([5], shape: [1]), carried: Tensor([0], shape: [1]), values: Tensor([], shape: [0, 7]))
    let message = OwnerMessage<Float>.batch(step: 0, part: 0, rows: none)
    #expect(try codec.ownerMessage(codec.frames(message, job: .none)).message == message)
  }

  /// A frame from ZeroMQ is a slice of a larger buffer, whose indices do not begin at 0.
  @Test func headerThatIsASliceOfALargerBuffer() throws {
    let message = OwnerMessage<Float>.commit(step: 77)
    let header = codec.frames(message, job: MessageFixtures.job)[0]
    let buffer = Data([1, 2, 3]) + header
    #expect(try codec.ownerMessage([buffer.dropFirst(3)]).message == message)
  }

  @Test func aReasonForRefusalIsCut() throws {
    let long = String(repeating: "x", count: 5000)
    let received = try codec.trainerMessage(codec.frames(.refused(kind: .refused, reason: long), job: .none))
    #expect(received.message == .refused(kind: .refused, reason: String(long.prefix(1999)) + "…"))
  }
}
