import Foundations
import Foundation
import Numerics
import Testing
import Protocol

/// An owner that sends what it likes.
struct RawOwner<Element: FloatingElement> {
  let channel: InProcessOwnerChannel
  let key: OwnerKey
  let codec = MessageCodec<Element>()
  var job: JobID

  init(_ network: InProcessNetwork, _ key: OwnerKey, job: JobID) {
    self.key = key
    channel = network.connect(key)
    self.job = job
  }

  func send(_ message: OwnerMessage<Element>) throws {
    try channel.send(codec.frames(message, job: job))
  }

  /// The next message, whatever it is.
  ///
  /// - Throws: `SilentTrainer` after two minutes.
  func next() throws -> TrainerMessage<Element> {
    let deadline = ContinuousClock().now + .seconds(120)
    while ContinuousClock().now < deadline {
      if let frames = try channel.receive(timeout: .seconds(1)) { return try codec.trainerMessage(frames).message }
    }
    throw SilentTrainer()
  }

  /// The first message that `accept` takes; others pass by, but for a refusal.
  func wait<Value>(_ accept: (TrainerMessage<Element>) -> Value?) throws -> Value {
    while true {
      let message = try next()
      if let value = accept(message) { return value }
      if case .refused(let kind, let reason) = message { throw Refusal(kind: kind, reason: reason) }
    }
  }

  /// What the trainer refuses next, other messages passing by.
  func refusal() throws -> Refusal {
    try wait { message in
      if case .refused(let kind, let reason) = message { return Refusal(kind: kind, reason: reason) }
      return nil
    }
  }

  func refusal(of message: OwnerMessage<Element>) throws -> Refusal {
    try send(message)
    return try refusal()
  }

  struct Refusal: Error, Equatable {
    let kind: FailureKind
    let reason: String
  }
}

/// A trainer that did not answer in time.
struct SilentTrainer: Error {}
