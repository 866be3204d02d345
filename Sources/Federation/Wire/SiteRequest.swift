package import Foundations
package import Numerics
package import Protocol

/// What a site proposes: to take part in the federation of this charter. The same of all its sites.
package struct FederationJoin: Codable, Sendable, Equatable {
  /// Of these messages and of what stores hold.
  package static let currentVersion = 1

  package var version = currentVersion
  /// SHA-256 of the charter's bytes, in hexadecimal.
  package let charter: String

  package init(charterDigest: [UInt8]) {
    charter = charterDigest.hexadecimal
  }
}

/// What a site says of its side: sizes and digests, nothing of its rows. Sizes and digests of model and columns must be the same at all sites.
package struct SiteIntroduction: Codable, Sendable, Equatable {
  /// Entries of all trained parameters together.
  package var entries: Int
  /// Features of a row; 0 for tokens.
  package var columns: Int
  /// SHA-256, in hexadecimal, of the names and shapes of the trained parameters and of the checkpoint's files.
  package var model: String
  /// SHA-256, in hexadecimal, of the columns' names.
  package var columnNames: String
  /// Records (`AggregatorAnswer.recorded`) that the site's history holds already: those behind them are sent.
  package var records: Int
  /// Of the site's group key for this charter (`GroupKey.check`): only whether two are equal means anything. Nil where the charter masks nothing,
  /// and of sites that speak a version below 5.
  package var groupCheck: String?
  /// Random digits of the process: a second program under the site's key has others. Nil of sites that speak a version below 5.
  package var instance: String?
  /// Whether the site takes `AggregatorAnswer.awaited`; nil of sites of before, which would not know the message.
  package var hearsAwaited: Bool?

  package init(entries: Int, columns: Int, model: String, columnNames: String, records: Int) {
    self.entries = entries
    self.columns = columns
    self.model = model
    self.columnNames = columnNames
    self.records = records
  }

  /// Whether its texts are what a site of this protocol sends.
  package var isWellFormed: Bool {
    entries >= 1 && columns >= 0
      && groupCheck.map { [UInt8](hexadecimal: $0)?.count == 32 } != false
      && instance.map { [UInt8](hexadecimal: $0)?.count == 16 } != false
  }

  /// What it must have in common with the others' alone.
  package var common: SiteIntroduction {
    SiteIntroduction(entries: entries, columns: columns, model: model, columnNames: columnNames, records: 0)
  }

  /// What differs from another site's, in words; nil when they fit together.
  package func difference(from other: SiteIntroduction) -> String? {
    if entries != other.entries { return "its model has \(entries) trained numbers, the others' \(other.entries)" }
    if columns != other.columns { return "its rows have \(columns) columns, the others' \(other.columns)" }
    if columnNames != other.columnNames { return "its columns have other names than the others'" }
    if model != other.model { return "its model, or the checkpoint that it starts from, is another than the others'" }
    return nil
  }
}

/// What a site says to the aggregator, beside what everybody says to a server.
package enum SiteRequest: WireMessage, Equatable {
  /// Answered by `joined`.
  case join(FederationJoin)
  /// On every connection, after `joined`: from then on the site is sent what is due.
  case introduce(SiteIntroduction)
  /// A reply of the site's side of a sum, in its own form.
  case sum(Tensor<UInt8>)
  /// Asks how much of its upload is held; answered by `uploadHeld`, or `uploadUnwanted`.
  case askUpload(sum: UInt64, attempt: Int)
  /// Entries from `offset` on, 64 bits each; answered as `askUpload` is. Pieces that do not begin where those before ended are dropped.
  case upload(sum: UInt64, attempt: Int, offset: Int, entries: Tensor<Int64>)
  /// All entries are sent; `header` is what makes them count, empty where sums are not masked. Answered by `uploadHeld` with all entries once
  /// the upload counts and is durable, or by `uploadUnwanted`.
  case finishUpload(sum: UInt64, attempt: Int, header: Tensor<UInt8>)
  /// Asks for a piece of the model after `rounds` rounds from entry `offset` on; answered by `model`.
  case fetch(rounds: Int, offset: Int)
  /// A piece of the starting model, where `startWanted` asked for it; answered by `startWanted` with what is held then: all of it in the end, or
  /// where another site's is taken.
  case start(offset: Int, entries: Tensor<Float>)
  /// The result is durable at the site; answered by `ConversationAnswer.finished`.
  case fetched

  private enum Kind: UInt8 {
    case join = 41, introduce, sum, askUpload, upload, finishUpload, fetch, start, fetched
  }

  private var kind: Kind {
    switch self {
    case .join: .join
    case .introduce: .introduce
    case .sum: .sum
    case .askUpload: .askUpload
    case .upload: .upload
    case .finishUpload: .finishUpload
    case .fetch: .fetch
    case .start: .start
    case .fetched: .fetched
    }
  }

  package func envelope(for job: JobID) -> Envelope {
    var envelope = Envelope(kind: kind.rawValue, job: job)
    switch self {
    case .join(let join): envelope.writeJSON(join)
    case .introduce(let introduction): envelope.writeJSON(introduction)
    case .sum(let bytes): envelope.attach(bytes)
    case .askUpload(let sum, let attempt):
      envelope.fields.write(sum)
      envelope.write(attempt)
    case .upload(let sum, let attempt, let offset, let entries):
      envelope.fields.write(sum)
      envelope.write(attempt, offset)
      envelope.attach(entries)
    case .finishUpload(let sum, let attempt, let header):
      envelope.fields.write(sum)
      envelope.write(attempt)
      envelope.attach(header)
    case .fetch(let rounds, let offset): envelope.write(rounds, offset)
    case .start(let offset, let entries):
      envelope.write(offset)
      envelope.attach(entries)
    case .fetched: break
    }
    return envelope
  }

  package init(from envelope: inout OpenedEnvelope) throws(WireError) {
    guard let kind = Kind(rawValue: envelope.kind) else { throw .malformed("an unknown kind of message") }
    switch kind {
    case .join: self = .join(try envelope.readJSON("a site's request to join"))
    case .introduce: self = .introduce(try envelope.readJSON("a site's introduction"))
    case .sum: self = .sum(try envelope.takeTensor("a reply", rank: 1...1))
    case .askUpload: self = .askUpload(sum: try envelope.fields.read(), attempt: try envelope.fields.readIndex())
    case .upload:
      self = .upload(
        sum: try envelope.fields.read(), attempt: try envelope.fields.readIndex(),
        offset: try envelope.fields.readIndex(), entries: try envelope.takeTensor("an upload", rank: 1...1))
    case .finishUpload:
      self = .finishUpload(
        sum: try envelope.fields.read(), attempt: try envelope.fields.readIndex(),
        header: try envelope.takeTensor("an upload's header", rank: 1...1))
    case .fetch: self = .fetch(rounds: try envelope.fields.readIndex(), offset: try envelope.fields.readIndex())
    case .start:
      self = .start(
        offset: try envelope.fields.readIndex(), entries: try envelope.takeTensor("a starting model", rank: 1...1))
    case .fetched: self = .fetched
    }
    try envelope.finish()
  }
}
