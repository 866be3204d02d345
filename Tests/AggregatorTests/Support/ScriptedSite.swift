import Cryptography
import Federation
import Foundation
import Foundations
import Numerics
import SecureSums
import Synchronization

@testable import Protocol

/// A site on a thread of its own that takes part from beginning to end, and dies where its script says: what it had in memory is lost then,
/// what it had written is not.
final class ScriptedSite: Sendable {
  /// Where a site can die.
  enum Moment: Equatable, Sendable {
    /// Having read its n-th message about a sum, from 0.
    case received(Int)
    /// Having answered it.
    case answered(Int)
    /// With half of its upload for this sum sent.
    case halfway(String)
    /// With all of it sent, and not yet the word that it is complete.
    case unfinished(String)
    /// With the result in hand, before it has said so.
    case result
  }

  struct Death: Sendable {
    let moment: Moment
    /// Seconds until it is back; nil for never.
    var away: Double? = 0.2
  }

  private struct Died: Error {
    let away: Double?
  }

  struct Outcome: Sendable {
    var records: [SumRecord] = []
    var sums: [String: [Double]] = [:]
    var result: FederationResult?
    var model: [Float] = []
    var refusals: [String] = []
    var unwanted: [String] = []
    /// Entries sent in pieces of uploads.
    var sentEntries = 0
    var deaths = 0
  }

  let outcome = Mutex(Outcome())
  private let ended = MonotonicLatch()
  private let stopping = Mutex(false)
  private let federation: TestFederation
  private let site: Int
  private let network: InProcessNetwork
  private let deaths: Mutex<[Death]>
  /// What the site's side of the sums has written.
  private let written = Mutex<[UInt8]>([])
  private let seen = Mutex(0)
  /// Of pieces of an upload.
  private let pieceEntries: Int
  /// Called before an upload for a sum is begun.
  private let beforeUpload: @Sendable (String) -> Void

  init(
    _ federation: TestFederation, _ site: Int, on network: InProcessNetwork, dying deaths: [Death] = [],
    pieceEntries: Int = 1000, beforeUpload: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.federation = federation
    self.site = site
    self.network = network
    self.deaths = Mutex(deaths)
    self.pieceEntries = pieceEntries
    self.beforeUpload = beforeUpload
    Thread { [self] in
      live()
      ended.open()
    }.start()
  }

  /// - Returns: whether it ended within the time.
  func wait(_ seconds: Double = 60) -> Bool { ended.wait(for: .seconds(seconds)) }

  func stop() {
    stopping.withLock { $0 = true }
    ended.wait()
  }

  private func live() {
    while !stopping.withLock({ $0 }) {
      do {
        try takePart()
        return
      } catch let death as Died {
        outcome.withLock { $0.deaths += 1 }
        guard let away = death.away else { return }
        Thread.sleep(forTimeInterval: away)
      } catch {
        // The connection went; a new one.
        Thread.sleep(forTimeInterval: 0.02)
      }
    }
  }

  private func reaches(_ moment: Moment) throws {
    let death = deaths.withLock { deaths -> Death? in
      guard let place = deaths.firstIndex(where: { $0.moment == moment }) else { return nil }
      return deaths.remove(at: place)
    }
    if let death { throw Died(away: death.away) }
  }

  // MARK: - One life

  private func takePart() throws {
    let connection = SiteConnection(network, key: federation.siteKeys[site], job: federation.plan.job)
    defer { connection.channel.close() }
    let life = Life(connection, try party())
    var introduction = federation.introduction
    introduction.records = outcome.withLock { $0.records.count }
    try connection.open(federation, introduction)
    while !stopping.withLock({ $0 }) {
      guard let answer = try life.next() else { continue }
      if try handle(answer, life) { return }
    }
  }

  /// What lives in memory.
  private final class Life {
    let connection: SiteConnection
    let party: SumParty?
    private var waiting: [SiteConnection.Answer] = []

    init(_ connection: SiteConnection, _ party: SumParty?) {
      self.connection = connection
      self.party = party
    }

    func next() throws -> SiteConnection.Answer? {
      waiting.isEmpty ? try connection.next(within: 0.5) : waiting.removeFirst()
    }

    /// The next answer that is like what is looked for; the others wait.
    func first<Value>(_ match: (SiteConnection.Answer) -> Value?) throws -> Value {
      while true {
        guard let answer = try connection.next(within: 20) else { throw SiteConnection.Silence() }
        if let value = match(answer) { return value }
        // The server has lost the thread, or stops: greet again.
        if case .conversation(.goodbye) = answer { throw SiteConnection.Silence() }
        waiting.append(answer)
      }
    }
  }

  private func party() throws -> SumParty? {
    guard let roster = federation.plan.roster else { return nil }
    let key = try federation.siteKeys[site].withSecretBytes { try KeyAgreement(secret: $0) }
    let persist: (UnsafeRawBufferPointer) throws -> Void = { [self] bytes in
      let copy = Array(bytes)
      written.withLock { $0 = copy }
    }
    let state = written.withLock { $0 }
    if state.isEmpty { return try SumParty(roster: roster, site: site + 1, key: key, persist: persist) }
    return try state.withUnsafeBytes {
      try SumParty(restoring: $0, roster: roster, site: site + 1, key: key, persist: persist)
    }
  }

  /// - Returns: whether it is at its end.
  private func handle(_ answer: SiteConnection.Answer, _ life: Life) throws -> Bool {
    switch answer {
    case .conversation(.finished): return true
    case .conversation(.goodbye): throw SiteConnection.Silence()
    case .conversation(.refused(_, let reason)): outcome.withLock { $0.refusals.append(reason) }
    case .conversation: break
    case .role(.sum(let message)):
      let number = try received()
      switch try life.party?.answer(to: message.elements) {
      case .reply(let reply)?: try life.connection.send(.sum(Tensor(reply, shape: [reply.count])))
      case .upload(let request)?:
        let format = try federation.format(of: try purpose(request.purpose))
        try upload(sum: request.sum, attempt: request.attempt, request.purpose, request.modelHash, life) { vector in
          try life.party?.upload(for: request, modelHash: request.modelHash, format: format, masking: &vector) ?? []
        }
      case .nothing?, nil: break
      }
      try reaches(.answered(number))
    case .role(.plainRequest(let request)):
      let number = try received()
      try upload(
        sum: request.sum, attempt: request.attempt, request.purpose, [UInt8](hexadecimal: request.model) ?? [], life
      ) { _ in [] }
      try reaches(.answered(number))
    case .role(.startWanted(let held)) where held < federation.entries:
      let piece = Array(federation.start[held..<min(federation.entries, held + pieceEntries)])
      try life.connection.send(.start(offset: held, entries: Tensor(piece, shape: [piece.count])))
    case .role(.recorded(let record)): outcome.withLock { $0.records.append(record) }
    case .role(.sums(let purpose, let values)): outcome.withLock { $0.sums[purpose.description] = values.elements }
    case .role(.result(let result)):
      let model = try fetch(result.rounds, life)
      outcome.withLock { ($0.result, $0.model) = (result, model) }
      try reaches(.result)
      try life.connection.send(.fetched)
    case .role: break
    }
    return false
  }

  private func received() throws -> Int {
    let number = seen.withLock { seen in
      seen += 1
      return seen - 1
    }
    try reaches(.received(number))
    return number
  }

  private func purpose(_ text: String) throws -> SumPurpose {
    guard let purpose = SumPurpose(text) else { throw WireError.malformed("a purpose") }
    return purpose
  }

  private func fetch(_ rounds: Int, _ life: Life) throws -> [Float] {
    let length = federation.plan.modelLength(entries: federation.entries)
    var model: [Float] = []
    while model.count < length {
      try life.connection.send(.fetch(rounds: rounds, offset: model.count))
      model += try life.first {
        if case .role(.model(rounds, model.count, let piece)) = $0 { piece.elements } else { nil }
      }
    }
    return model
  }

  private func upload(
    sum: UInt64, attempt: Int, _ text: String, _ modelHash: [UInt8], _ life: Life,
    mask: (inout [UInt64]) throws -> [UInt8]
  ) throws {
    let purpose = try purpose(text)
    beforeUpload(text)
    var model: [Float] = []
    if let rounds = purpose.model {
      model = try fetch(rounds, life)
      let hash = model.withUnsafeBytes { SHA256.hash($0).bytes }
      // Where something was pooled, the request is about that, too, which this site does not keep.
      guard hash == modelHash || federation.plan.purposes.contains(where: \.isPooled) else {
        throw WireError.malformed("a model")
      }
    }
    var vector = try federation.vector(of: site, for: purpose, model: model)
    let header = try mask(&vector)
    try life.connection.send(.askUpload(sum: sum, attempt: attempt))
    var isFinished = false
    while true {
      let held: Int? = try life.first { answer in
        switch answer {
        case .role(.uploadHeld(sum, attempt, let entries)): .some(entries)
        case .role(.uploadUnwanted(sum, attempt, let reason)):
          outcome.withLock { outcome in
            outcome.unwanted.append(reason)
            return .some(nil)
          }
        default: nil
        }
      }
      guard let held else { return }
      if held == vector.count {
        if isFinished { return }
        try reaches(.unfinished(text))
        try life.connection.send(
          .finishUpload(sum: sum, attempt: attempt, header: Tensor(header, shape: [header.count])))
        isFinished = true
        continue
      }
      isFinished = false
      if held >= vector.count / 2 { try reaches(.halfway(text)) }
      let piece = vector[held..<min(vector.count, held + pieceEntries)].map(Int64.init(bitPattern:))
      outcome.withLock { $0.sentEntries += piece.count }
      try life.connection.send(
        .upload(sum: sum, attempt: attempt, offset: held, entries: Tensor(piece, shape: [piece.count])))
    }
  }
}
