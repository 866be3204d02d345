package import Foundations

/// What an owner may say to any server, whatever its role.
package enum ConversationRequest: Sendable, Equatable {
  /// Opens a conversation; each role answers it in its own way.
  case hello(software: String)
  /// Answered by `ConversationAnswer.status`.
  case status
  /// Stops the job and removes it. Answered by `removed`.
  case cancel
  /// The owner holds the result: the server removes the job. Answered by `removed`.
  case release
  /// Says that the owner is alive. Answered by `pong`.
  case ping

  /// As the envelope has it.
  enum Kind: UInt8 {
    case hello = 1
    case status = 17
    case cancel = 18
    case release = 19
    case ping = 20
  }

  private var kind: Kind {
    switch self {
    case .hello: .hello
    case .status: .status
    case .cancel: .cancel
    case .release: .release
    case .ping: .ping
    }
  }

  package func envelope(for job: JobID) -> Envelope {
    var envelope = Envelope(kind: kind.rawValue, job: job)
    if case .hello(let software) = self { envelope.fields.write(text: software) }
    return envelope
  }

  /// Nil, with the envelope as it was, for a kind that a role has for itself.
  package init?(from envelope: inout OpenedEnvelope) throws(WireError) {
    guard let kind = Kind(rawValue: envelope.kind) else { return nil }
    switch kind {
    case .hello: self = .hello(software: try envelope.fields.readText(limit: WireLimits.nameLength))
    case .status: self = .status
    case .cancel: self = .cancel
    case .release: self = .release
    case .ping: self = .ping
    }
    try envelope.finish()
  }
}

/// What any server may say to an owner, whatever its role.
package enum ConversationAnswer: Sendable, Equatable {
  /// `kind` is the exit code it leads to.
  case refused(kind: FailureKind, reason: String)
  /// The job waits behind `position` others.
  case queued(position: Int)
  case status(JobStatus)
  /// The job is removed, by `cancel` or `release`.
  case removed
  /// The server stops, or takes the conversation for ended; the job is saved after `step` steps.
  case goodbye(step: Int, reason: GoodbyeReason = .stopping)
  case pong
  /// All steps are done and the result is durable.
  case finished

  /// As the envelope has it.
  enum Kind: UInt8 {
    case refused = 103
    case queued = 104
    case status = 113
    case removed = 114
    case goodbye = 115
    case pong = 116
    case finished = 117
  }

  private var kind: Kind {
    switch self {
    case .refused: .refused
    case .queued: .queued
    case .status: .status
    case .removed: .removed
    case .goodbye: .goodbye
    case .pong: .pong
    case .finished: .finished
    }
  }

  package func envelope(for job: JobID) -> Envelope {
    var envelope = Envelope(kind: kind.rawValue, job: job)
    switch self {
    case .refused(let kind, let reason):
      envelope.write(Int(kind.rawValue))
      envelope.fields.write(text: reason.printable(limit: WireLimits.reasonLength))
    case .queued(let position): envelope.write(position)
    case .status(let status): envelope.writeJSON(status)
    case .goodbye(let step, let reason): envelope.write(step, reason.rawValue)
    case .removed, .pong, .finished: break
    }
    return envelope
  }

  /// Nil, with the envelope as it was, for a kind that a role has for itself.
  package init?(from envelope: inout OpenedEnvelope) throws(WireError) {
    guard let kind = Kind(rawValue: envelope.kind) else { return nil }
    switch kind {
    case .refused:
      let code = try envelope.fields.readIndex()
      guard let kind = Int32(exactly: code).flatMap(FailureKind.init(rawValue:)) else {
        throw .malformed("an unknown failure code")
      }
      self = .refused(kind: kind, reason: try envelope.fields.readText(limit: WireLimits.reasonLength))
    case .queued: self = .queued(position: try envelope.fields.readIndex())
    case .status: self = .status(try envelope.readJSON("status", of: JobStatus.self).printable)
    case .removed: self = .removed
    case .goodbye:
      let step = try envelope.fields.readIndex()
      guard let reason = GoodbyeReason(rawValue: try envelope.fields.readIndex()) else {
        throw .malformed("an unknown reason to stop")
      }
      self = .goodbye(step: step, reason: reason)
    case .pong: self = .pong
    case .finished: self = .finished
    }
    try envelope.finish()
  }
}

/// Why a server ends.
package enum GoodbyeReason: Int, Sendable {
  case stopping = 0
  /// The machine is wanted for something else; the server is started again by itself.
  case preempted = 1
  /// The server goes on, and lets another job run: this one is saved, and goes to the end of the line when its owner comes back to it. From
  /// wire version 5 on; to owners of before it is `stopping`.
  case turnEnded = 2

  /// - Parameter server: as in "the trainer".
  package func text(of server: String) -> String {
    switch self {
    case .stopping: "\(server) stops"
    case .preempted: "\(server) is pre-empted and comes back by itself"
    case .turnEnded: "\(server) lets another job have its turn"
    }
  }
}
