import Federation
import Foundations
import Foundation
import Foundations
import Protocol
import Service

@testable import Protocol

/// A site's side of one connection, message by message.
final class SiteConnection {
  enum Answer: Equatable {
    case role(AggregatorAnswer)
    case conversation(ConversationAnswer)
  }

  let channel: InProcessOwnerChannel
  private let job: JobID
  private var lastWord = ContinuousClock.now

  init(_ network: InProcessNetwork, key: CurveKeyPair, job: JobID) {
    channel = network.connect(key.ownerKey)
    self.job = job
  }

  func send(_ request: SiteRequest) throws {
    lastWord = .now
    try channel.send(request.envelope(for: job).frames)
  }

  func send(_ request: ConversationRequest) throws {
    lastWord = .now
    try channel.send(request.envelope(for: job).frames)
  }

  /// Greets, joins and introduces itself.
  func open(_ federation: TestFederation, _ introduction: SiteIntroduction? = nil) throws {
    try send(.hello(software: "test"))
    try send(.join(FederationJoin(charterDigest: federation.plan.digest)))
    try send(.introduce(introduction ?? federation.introduction))
  }

  /// The next message; says now and then that it is alive.
  ///
  /// - Returns: nil when none came within the time.
  func next(within seconds: Double) throws -> Answer? {
    let end = ContinuousClock.now + .seconds(seconds)
    while .now < end {
      if lastWord.duration(to: .now) > .milliseconds(300) { try send(ConversationRequest.ping) }
      guard let frames = try channel.receive(timeout: .milliseconds(100)) else { continue }
      var envelope = try OpenedEnvelope(frames, limits: WireLimits())
      let isOfJob = envelope.job == job
      if let answer = try ConversationAnswer(from: &envelope) {
        if answer == .pong { continue }
        // A site hears of its own federation only; refusals of what could not be read name none.
        if case .refused = answer { return .conversation(answer) }
        if isOfJob { return .conversation(answer) }
        continue
      }
      return .role(try AggregatorAnswer(from: &envelope))
    }
    return nil
  }

  /// The next message that is like what is looked for; the others are passed over.
  func first<Value>(_ match: (Answer) -> Value?) throws -> Value {
    while true {
      guard let answer = try next(within: 60) else { throw Silence() }
      if let value = match(answer) { return value }
    }
  }

  func refusal() throws -> String {
    try first { if case .conversation(.refused(_, let reason)) = $0 { reason } else { nil } }
  }

  /// That the starting model is asked for.
  func expectStart() throws {
    try first { if case .role(.startWanted) = $0 { () } else { nil } }
  }

  struct Silence: Error {}
}
