import Models
package import Foundations
import Foundation
package import Numerics
package import Protocol

/// What one kind of server says.
package protocol ServerAnswer: WireMessage {
  associatedtype Greeting

  /// What it answers `hello` with; nil for everything else.
  var greeting: Greeting? { get }

  /// What every server says.
  init(_ conversation: ConversationAnswer)
}

extension TrainerMessage: ServerAnswer {
  package var greeting: TrainerGreeting? {
    if case .welcome(let greeting) = self { return greeting }
    return nil
  }
}

/// An owner's connection to a trainer.
package typealias TrainerConnection<Element: FloatingElement> = ServerConnection<
  OwnerMessage<Element>, TrainerMessage<Element>
>

/// A connection to one server about one job: typed messages, liveness, and byte counts.
///
/// Used from one thread. The channel reconnects by itself; `greet` starts over with whatever answers.
package final class ServerConnection<Request: WireMessage, Answer: ServerAnswer> {
  package let job: JobID
  private let channel: any OwnerChannel
  private let limits = WireLimits()
  private let software: String
  /// The server, as errors name it.
  private let peer: String
  private let clock = ContinuousClock()
  /// Time spent waiting for messages since the last one: the owner's own work must not count against the trainer.
  private var silentFor = Duration.zero
  private var lastSent: ContinuousClock.Instant
  /// A server that has sent nothing for this long, though it was pinged, counts as gone.
  private let silence: Duration
  /// Whether what it is about goes on when the server is back.
  private let isJobKept: Bool

  /// Called before each look for a message, at least once a second while one is awaited: for what else must not fall asleep meanwhile.
  var whileWaiting: () -> Void = {}

  /// In which the server is spoken to: the newest that it knows, once it was greeted.
  package private(set) var version = WireVersion.current
  /// Whether a model's inputs, outputs and gradients travel as bfloat16 numbers, as far as the version has them.
  package var narrowsValues = false

  package private(set) var bytesSent = 0
  /// How many more `bytesSent` would be if all numbers had been sent as floats.
  package private(set) var bytesSaved = 0
  package private(set) var bytesReceived = 0
  /// Time spent in `greet` and `receive` with nothing to do.
  package private(set) var waited = Duration.zero

  /// - Parameters:
  ///   - peer: the server and where it is, for messages to the user.
  ///   - isJobKept: whether the server keeps a job of which the user is to hear; not of questions to a deployment.
  package init(
    channel: any OwnerChannel, job: JobID, software: String, peer: String = "the trainer",
    silence: Duration = .seconds(8), isJobKept: Bool = true
  ) {
    self.channel = channel
    self.job = job
    self.software = software
    self.peer = peer
    self.silence = silence
    self.isJobKept = isJobKept
    lastSent = clock.now
  }

  /// Says hello until the server answers.
  ///
  /// - Parameters:
  ///   - patience: at least a second is allowed, because a handshake takes time.
  ///   - waiting: called once, soon, with the reason, when there is no answer yet.
  /// - Throws: `OwnerError.trainerGone` when `patience` runs out or on an interruption; a refusal or key problem at once.
  @discardableResult
  package func greet(
    patience: Duration, interrupted: () -> Bool = { false }, waiting: (String) -> Void = { _ in }
  ) throws -> Answer.Greeting {
    let start = clock.now
    defer { waited += start.duration(to: clock.now) }
    let deadline = start + max(patience, .seconds(1))
    let noAnswer = channel.isListening ? "\(peer) has not come" : "\(peer) does not answer"
    var problem = noAnswer
    var isReported = false
    // A peer that has just accepted the connection may be about to refuse it: the outcome of the handshake decides, not the time.
    let decision = deadline + Self.maxDecision
    while clock.now < deadline || (channel.isHandshaking && clock.now < decision), !interrupted() {
      do {
        let answerBy = clock.now + .milliseconds(500)
        if let greeting = try greetOnce(
          until: answerBy < deadline ? answerBy : deadline, decision: answerBy < deadline ? nil : decision, interrupted)
        {
          return greeting
        }
      } catch let error as TransportError where error.kind == .unreachable {
        problem = error.description
        Thread.sleep(forTimeInterval: 0.2)
      }
      if problem == noAnswer, let found = channel.addressProblem { problem = "\(noAnswer): \(found)" }
      if !isReported, clock.now < deadline, !interrupted() {
        isReported = true
        waiting(problem)
      }
    }
    guard !interrupted() else { throw OwnerError.trainerGone("interrupted while waiting for \(peer)") }
    let advice = channel.isListening ? "runs, with --connect and an address of this machine" : "runs there"
    throw OwnerError.trainerGone("\(problem); check that it \(advice)")
  }

  /// How much longer than its patience an owner waits for the outcome of a handshake; the transport ends one sooner.
  private static var maxDecision: Duration { .seconds(20) }

  /// - Parameter decision: until when to await the outcome of a handshake under way beyond `answerBy`; nil for not at all.
  /// - Returns: nil when there is no connection, or no answer, by `answerBy`.
  private func greetOnce(
    until answerBy: ContinuousClock.Instant, decision: ContinuousClock.Instant?, _ interrupted: () -> Bool
  ) throws -> Answer.Greeting? {
    // Sending would wait for a connection by itself, but for long and without a message to the user.
    while !channel.isConnected {
      let isDecided = decision.map { clock.now >= $0 || !channel.isHandshaking } ?? true
      guard clock.now < answerBy || !isDecided, !interrupted() else { return nil }
      _ = try channel.receive(timeout: .milliseconds(20))
    }
    try sendNow(ConversationRequest.hello(software: software).envelope(for: job))
    // Connected: the answer comes as soon as the server has time.
    let answerBy = max(answerBy, clock.now) + .seconds(2)
    while clock.now < answerBy, !interrupted() {
      guard let frames = try channel.receive(timeout: .milliseconds(200)) else { continue }
      switch try Received<Answer>(frames, limits: limits).content {
      case .conversation(.refused(let kind, let reason)):
        // A server of before answers in its own version that it cannot read this one's.
        if let older = WireVersion(of: frames), older < version, older >= .oldestOfServers {
          version = older
          try sendNow(ConversationRequest.hello(software: software).envelope(for: job))
          continue
        }
        throw OwnerError.refused(kind: kind, reason: reason)
      case .role(let answer):
        guard let greeting = answer.greeting else { continue }
        silentFor = .zero
        return greeting
      default: continue
      }
    }
    return nil
  }

  package func send(_ message: Request) throws {
    do {
      try sendNow(message.envelope(for: job))
    } catch let error as TransportError where error.kind == .unreachable {
      throw OwnerError.trainerGone(error.description)
    }
  }

  /// The next message, or nil after `timeout`. Refusals are thrown, pongs left out, a ping sent when nothing else was for a second.
  ///
  /// - Throws: `OwnerError.trainerGone` when the server is silent for too long or says goodbye; `.turnEnded`; `.refused`;
  ///   `WireError` for anything that is not a message.
  package func receive(timeout: Duration) throws -> Answer? {
    let start = clock.now
    defer { waited += start.duration(to: clock.now) }
    do {
      whileWaiting()
      try pingIfIdle()
      guard let frames = try channel.receive(timeout: timeout) else {
        silentFor += start.duration(to: clock.now)
        try checkSilence()
        return nil
      }
      silentFor = .zero
      bytesReceived += frames.reduce(0) { $0 + $1.count }
      let received = try Received<Answer>(frames, limits: limits)
      if received.job != job {
        // A server answers a message that it cannot read without a job's id.
        guard received.job == .none, case .conversation(.refused) = received.content else { return nil }
      }
      switch received.content {
      case .conversation(.refused(let kind, let reason)): throw OwnerError.refused(kind: kind, reason: reason)
      case .conversation(.goodbye(_, .turnEnded)): throw OwnerError.turnEnded
      case .conversation(.goodbye(_, let reason)):
        throw OwnerError.trainerGone(reason.text(of: peer) + (isJobKept ? "; the job is saved there" : ""))
      case .conversation(.pong): return nil
      case .conversation(let answer): return Answer(answer)
      case .role(let answer): return answer.greeting == nil ? answer : nil
      }
    } catch let error as TransportError where error.kind == .unreachable {
      throw OwnerError.trainerGone(error.description)
    }
  }

  /// Waits until `accept` returns a value for a message.
  ///
  /// - Throws: as `receive`; `OwnerError.interrupted` never: callers that can be interrupted poll `receive`.
  @discardableResult
  package func waitFor<Value>(_ accept: (Answer) throws -> Value?) throws -> Value {
    while true {
      if let message = try receive(timeout: .seconds(1)), let value = try accept(message) { return value }
    }
  }

  package func close() {
    channel.close()
  }

  /// Pings when nothing was sent for a second, also while answers keep coming in: servers drop owners that send nothing.
  private func pingIfIdle() throws {
    if lastSent.duration(to: clock.now) > .seconds(1) { try sendNow(ConversationRequest.ping.envelope(for: job)) }
  }

  private func sendNow(_ envelope: Envelope) throws {
    let frames = envelope.frames(version: version, narrowingValues: narrowsValues)
    bytesSent += frames.reduce(0) { $0 + $1.count }
    bytesSaved += envelope.tensorBytes - frames.dropFirst().reduce(0) { $0 + $1.count }
    try channel.send(frames)
    lastSent = clock.now
  }

  private func checkSilence() throws {
    if silentFor > silence {
      throw OwnerError.trainerGone("nothing came from \(peer) for \(silence.components.seconds) s")
    }
  }
}

/// A message as it came: what every server says, or something of this kind of server.
private struct Received<Answer: WireMessage> {
  enum Content {
    case conversation(ConversationAnswer)
    case role(Answer)
  }

  let job: JobID
  let content: Content

  init(_ frames: Message, limits: WireLimits) throws(WireError) {
    var envelope = try OpenedEnvelope(frames, limits: limits)
    job = envelope.job
    if let answer = try ConversationAnswer(from: &envelope) {
      content = .conversation(answer)
    } else {
      content = .role(try Answer(from: &envelope))
    }
  }
}

extension ServerConnection {
  /// The job's status at the trainer.
  package func status<Element>() throws -> JobStatus
  where Request == OwnerMessage<Element>, Answer == TrainerMessage<Element> {
    try send(.status)
    return try waitFor { message in
      if case .status(let status) = message { return status }
      return nil
    }
  }

  /// Lets the trainer remove the job, whose result is durable here.
  ///
  /// - Returns: whether it has.
  @discardableResult
  package func release<Element>() -> Bool where Request == OwnerMessage<Element>, Answer == TrainerMessage<Element> {
    do {
      try send(.release)
      try waitFor { message in
        if case .removed = message { return true }
        return nil as Bool?
      }
      return true
    } catch {
      // A trainer that cannot be reached now keeps the job until its operator, or its owner, removes it.
      return false
    }
  }
}

/// Moves a model's masked weights in chunks, a few in flight at a time.
struct WeightTransfer<Element: FloatingElement> {
  private static var window: Int { 4 }

  let connection: TrainerConnection<Element>
  /// Of the whole model; in an upload with what goes behind it.
  let specifications: [ParameterSpecification]

  /// Sends every parameter; returns when the trainer has made them durable.
  ///
  /// - Parameter masked: makes parameter number i; asked for one at a time, so that no second copy of a large model exists.
  func upload(_ masked: (Int) throws -> Tensor<Element>, progress: (Int, Int) -> Void) throws {
    let chunks = ParameterChunks(specifications, elementBytes: MemoryLayout<Element>.size)
    var acknowledged = 0
    var present: (parameter: Int, values: Tensor<Element>)?
    for chunk in 0..<chunks.count {
      let parameter = chunks.chunks[chunk].parameter
      let values = try present.flatMap { $0.parameter == parameter ? $0.values : nil } ?? masked(parameter)
      present = (parameter, values)
      while chunk - acknowledged >= Self.window { acknowledged = try awaitStored() }
      try connection.send(.parameters(chunk: chunk, values: chunks.extract(chunk, of: values)))
      progress(chunk + 1, chunks.count)
    }
    while acknowledged < chunks.count { acknowledged = try awaitStored() }
  }

  /// Fetches a finished job's trained weights, in the order of the model's trained parameters.
  func download(progress: (Int, Int) -> Void) throws -> [Tensor<Element>] {
    let specifications = specifications.filter(\.isTrained)
    let chunks = ParameterChunks(specifications, elementBytes: MemoryLayout<Element>.size)
    var parameters = specifications.map { Tensor<Element>(uninitialized: $0.shape) }
    var asked = 0
    for expected in 0..<chunks.count {
      while asked < chunks.count, asked - expected < Self.window {
        try connection.send(.retrieve(chunk: asked))
        asked += 1
      }
      let values: Tensor<Element> = try connection.waitFor { message in
        guard case .parameters(let chunk, let values) = message else { return nil }
        guard chunk == expected else {
          throw OwnerError.protocolViolation("weight chunk \(chunk) where \(expected) is due")
        }
        return values
      }
      guard values.allFinite else { throw OwnerError.protocolViolation("returned weights that are not finite") }
      try chunks.place(values, number: expected, into: &parameters)
      progress(expected + 1, chunks.count)
    }
    return parameters
  }

  private func awaitStored() throws -> Int {
    try connection.waitFor { message in
      if case .stored(let count) = message { return count }
      return nil
    }
  }
}
