package import Foundations
package import Numerics
package import Protocol

/// The aggregator, as it greets.
package struct AggregatorGreeting: Codable, Sendable, Equatable {
  /// Program and version.
  package let software: String
  /// The charter's name.
  package let federation: String

  package init(software: String, federation: String) {
    self.software = software
    self.federation = federation
  }
}

/// A sum that is not masked, as the aggregator asks for it.
package struct PlainRequest: Codable, Sendable, Equatable {
  package let sum: UInt64
  package let attempt: Int
  /// A name of `SumPurpose`.
  package let purpose: String
  /// SHA-256, in hexadecimal, of the model that it is about; empty for none.
  package let model: String
  /// SHA-256, in hexadecimal, of the vector's format.
  package let format: String

  package init(sum: UInt64, attempt: Int, purpose: String, model: String, format: String) {
    self.sum = sum
    self.attempt = attempt
    self.purpose = purpose
    self.model = model
    self.format = format
  }
}

/// How a federation ended.
package struct FederationResult: Codable, Sendable, Equatable {
  /// Rounds that the model which is the result has had.
  package let rounds: Int
  /// SHA-256, in hexadecimal, of that model's numbers.
  package let model: String
  /// Why it ended, in words: all rounds are done, or no better score for so many rounds.
  package let reason: String

  package init(rounds: Int, model: String, reason: String) {
    self.rounds = rounds
    self.model = model
    self.reason = reason
  }
}

/// What the aggregator says to a site, beside what everybody hears of a server.
package enum AggregatorAnswer: WireMessage, Equatable {
  case welcome(AggregatorGreeting)
  case joined
  /// A message of the aggregator's side of a sum, in its own form.
  case sum(Tensor<UInt8>)
  case plainRequest(PlainRequest)
  /// So many entries of the site's upload for this attempt are held; the next one is due from there.
  case uploadHeld(sum: UInt64, attempt: Int, entries: Int)
  /// The site's upload for this attempt is not wanted, or not any more: it came after the sum went on without it, or is of another sum. It is
  /// not added; the site waits for what is due next.
  case uploadUnwanted(sum: UInt64, attempt: Int, reason: String)
  /// What a sum over all sites came to that the sites need themselves, as doubles in the order of its vector: for `means` and `deviations` one
  /// number a column and then the number of rows, for `classCounts` one a class. Sent on every connection before anything that needs it.
  case sums(purpose: SumPurpose, values: Tensor<Double>)
  /// Entries from `offset` on of the model after `rounds` rounds (`FederationPlan.modelLength`).
  case model(rounds: Int, offset: Int, entries: Tensor<Float>)
  /// The site is to send the starting model from entry `held` on; nothing more when that is all of them (without control variates, which
  /// begin as zeros).
  case startWanted(held: Int)
  /// A sum is done; one message for each record, in their order.
  case recorded(SumRecord)
  case result(FederationResult)
  /// What keeps the federation from going on, for a person at the site; of version 5.
  case obstacle(String)
  /// Whom the present stage waits for; only to sites that `hearAwaited`, and to none of those.
  case awaited(AwaitedSites)
  /// What every server says.
  case conversation(ConversationAnswer)

  private static let reasonLength = 500

  private enum Kind: UInt8 {
    case welcome = 141, joined, sum, plainRequest, uploadHeld, model, startWanted, recorded, result, uploadUnwanted,
      sums, obstacle, awaited
  }

  /// Nil for what every server says.
  private var kind: Kind? {
    switch self {
    case .welcome: .welcome
    case .joined: .joined
    case .sum: .sum
    case .plainRequest: .plainRequest
    case .uploadHeld: .uploadHeld
    case .uploadUnwanted: .uploadUnwanted
    case .sums: .sums
    case .conversation: nil
    case .model: .model
    case .startWanted: .startWanted
    case .recorded: .recorded
    case .result: .result
    case .obstacle: .obstacle
    case .awaited: .awaited
    }
  }

  package func envelope(for job: JobID) -> Envelope {
    if case .conversation(let answer) = self { return answer.envelope(for: job) }
    var envelope = Envelope(kind: kind?.rawValue ?? 0, job: job)
    switch self {
    case .welcome(let greeting): envelope.writeJSON(greeting)
    case .joined, .conversation: break
    case .sum(let bytes): envelope.attach(bytes)
    case .plainRequest(let request): envelope.writeJSON(request)
    case .uploadHeld(let sum, let attempt, let entries):
      envelope.fields.write(sum)
      envelope.write(attempt, entries)
    case .uploadUnwanted(let sum, let attempt, let reason):
      envelope.fields.write(sum)
      envelope.write(attempt)
      envelope.fields.write(text: reason.printable(limit: Self.reasonLength))
    case .sums(let purpose, let values):
      envelope.fields.write(text: purpose.description)
      envelope.attach(values)
    case .model(let rounds, let offset, let entries):
      envelope.write(rounds, offset)
      envelope.attach(entries)
    case .startWanted(let held): envelope.write(held)
    case .recorded(let record): envelope.writeJSON(record)
    case .result(let result): envelope.writeJSON(result)
    case .obstacle(let reason): envelope.fields.write(text: reason.printable(limit: Self.reasonLength))
    case .awaited(let sites): sites.write(to: &envelope)
    }
    return envelope
  }

  package init(from envelope: inout OpenedEnvelope) throws(WireError) {
    guard let kind = Kind(rawValue: envelope.kind) else { throw .malformed("an unknown kind of message") }
    switch kind {
    case .welcome: self = .welcome(try envelope.readJSON("a greeting"))
    case .joined: self = .joined
    case .sum: self = .sum(try envelope.takeTensor("a sum's message", rank: 1...1))
    case .plainRequest: self = .plainRequest(try envelope.readJSON("a request"))
    case .uploadHeld:
      self = .uploadHeld(
        sum: try envelope.fields.read(), attempt: try envelope.fields.readIndex(),
        entries: try envelope.fields.readIndex())
    case .uploadUnwanted:
      self = .uploadUnwanted(
        sum: try envelope.fields.read(), attempt: try envelope.fields.readIndex(),
        reason: try envelope.fields.readText(limit: Self.reasonLength))
    case .sums:
      guard let purpose = SumPurpose(try envelope.fields.readText(limit: Self.reasonLength)) else {
        throw .malformed("sums of an unknown purpose")
      }
      self = .sums(purpose: purpose, values: try envelope.takeTensor("sums", rank: 1...1))
    case .model:
      self = .model(
        rounds: try envelope.fields.readIndex(), offset: try envelope.fields.readIndex(),
        entries: try envelope.takeTensor("a model", rank: 1...1))
    case .startWanted: self = .startWanted(held: try envelope.fields.readIndex())
    case .recorded: self = .recorded(try envelope.readJSON("a record"))
    case .result: self = .result(try envelope.readJSON("a result"))
    case .obstacle: self = .obstacle(try envelope.fields.readText(limit: Self.reasonLength))
    case .awaited: self = .awaited(try AwaitedSites(from: &envelope))
    }
    try envelope.finish()
  }
}
