import Failures
import Foundation
package import Tensors
package import Transport
package import Wire

/// A conversation with one trainer about one job: typed messages, liveness, and byte counts.
///
/// Used from one thread. The channel reconnects by itself; `greet` begins a new conversation on whatever answers.
package final class TrainerConnection<Element: FloatingElement> {
  package let job: JobID
  private let channel: any OwnerChannel
  private let codec = MessageCodec<Element>()
  private let software: String
  private let clock = ContinuousClock()
  /// Time spent listening since anything was heard: the owner's own work must not count against the trainer.
  private var quiet = Duration.zero
  private var lastPing: ContinuousClock.Instant
  /// A trainer not heard of for this long, pings included, is taken for gone.
  private let silence: Duration

  package private(set) var bytesSent = 0
  package private(set) var bytesReceived = 0
  /// Time spent in `receive` with nothing to do.
  package private(set) var waited = Duration.zero

  package init(channel: any OwnerChannel, job: JobID, software: String, silence: Duration = .seconds(8)) {
    self.channel = channel
    self.job = job
    self.software = software
    self.silence = silence
    lastPing = clock.now
  }

  /// Says hello until the trainer answers.
  ///
  /// - Throws: `OwnerError.trainerGone` when `patience` runs out; a refusal or key problem at once.
  @discardableResult
  package func greet(patience: Duration, interrupted: () -> Bool = { false }) throws -> TrainerGreeting {
    let deadline = clock.now + patience
    var problem = "no trainer answers"
    repeat {
      do {
        // A send waits for a connection as long as the transport likes; looking first keeps `patience` and Ctrl-C in hand.
        while !channel.isConnected, clock.now < deadline, !interrupted() {
          _ = try channel.receive(timeout: .milliseconds(100))
        }
        guard channel.isConnected else { continue }
        try sendNow(.hello(software: software))
        let answerBy = min(clock.now + .seconds(2), max(deadline, clock.now + .milliseconds(200)))
        while clock.now < answerBy, !interrupted() {
          guard let frames = try channel.receive(timeout: .milliseconds(200)) else { continue }
          let (_, message) = try codec.trainerMessage(frames)
          if case .welcome(let greeting) = message {
            quiet = .zero
            return greeting
          }
          if case .refused(let kind, let reason) = message { throw OwnerError.refused(kind: kind, reason: reason) }
        }
      } catch let error as TransportError where error.kind == .unreachable {
        problem = error.description
        Thread.sleep(forTimeInterval: 0.2)
      }
    } while clock.now < deadline && !interrupted()
    throw OwnerError.trainerGone("\(problem); start it, check --trainer-key and the endpoint, then go on with --resume")
  }

  package func send(_ message: OwnerMessage<Element>) throws {
    do {
      try sendNow(message)
    } catch let error as TransportError where error.kind == .unreachable {
      throw OwnerError.trainerGone(error.description)
    }
  }

  /// The next message, or nil after `timeout`. Refusals are thrown, pongs swallowed, pings sent when it is quiet.
  ///
  /// - Throws: `OwnerError.trainerGone` when the trainer is silent for too long or says goodbye; `.refused`;
  ///   `WireError` for anything that is not a message.
  package func receive(timeout: Duration) throws -> TrainerMessage<Element>? {
    let start = clock.now
    defer { waited += start.duration(to: clock.now) }
    do {
      guard let frames = try channel.receive(timeout: timeout) else {
        quiet += start.duration(to: clock.now)
        try keepAlive()
        return nil
      }
      quiet = .zero
      bytesReceived += frames.reduce(0) { $0 + $1.count }
      let (id, message) = try codec.trainerMessage(frames)
      if id != job {
        // What the trainer cannot read has no job for it either.
        guard id == .none, case .refused = message else { return nil }
      }
      switch message {
      case .refused(let kind, let reason): throw OwnerError.refused(kind: kind, reason: reason)
      case .goodbye: throw OwnerError.trainerGone("the trainer stops; the job is saved there")
      case .pong, .welcome: return nil
      default: return message
      }
    } catch let error as TransportError where error.kind == .unreachable {
      throw OwnerError.trainerGone(error.description)
    }
  }

  /// Waits until `accept` returns a value for a message.
  ///
  /// - Throws: as `receive`; `OwnerError.interrupted` never: callers that can be interrupted poll `receive`.
  @discardableResult
  package func waitFor<Value>(_ accept: (TrainerMessage<Element>) throws -> Value?) throws -> Value {
    while true {
      if let message = try receive(timeout: .seconds(1)), let value = try accept(message) { return value }
    }
  }

  /// What the trainer says of the job.
  package func status() throws -> JobStatus {
    try send(.status)
    return try waitFor { message in
      if case .status(let status) = message { return status }
      return nil
    }
  }

  package func close() {
    channel.close()
  }

  private func sendNow(_ message: OwnerMessage<Element>) throws {
    let frames = codec.frames(message, job: job)
    bytesSent += frames.reduce(0) { $0 + $1.count }
    try channel.send(frames)
  }

  private func keepAlive() throws {
    let now = clock.now
    if quiet > silence {
      throw OwnerError.trainerGone("the trainer has not been heard of for \(silence.components.seconds) s")
    }
    if lastPing.duration(to: now) > .seconds(1) {
      lastPing = now
      try sendNow(.ping)
    }
  }
}
