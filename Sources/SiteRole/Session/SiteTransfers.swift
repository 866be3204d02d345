import Federation
import Foundations
import Numerics
import OwnerRole
import Protocol

/// Long vectors in pieces: an upload that goes on where a connection was cut, the starting model, a model that is fetched.
extension SiteSession {
  /// Pieces that may be unanswered: few, since an aggregator may have a hundred sites.
  private static var window: Int { 2 }

  /// Sends a vector; what the aggregator holds already is not sent again.
  ///
  /// - Throws: `OwnerError.trainerGone` when the connection is lost; the same call after a new greeting goes on.
  func upload(_ entries: [UInt64], header: [UInt8], sum: UInt64, attempt: Int, of purpose: SumPurpose) throws {
    try connection.send(.askUpload(sum: sum, attempt: attempt))
    guard var held = try awaitHeld(sum, attempt) else { return }
    var sent = held
    var unanswered = 0
    while held < entries.count {
      while unanswered < Self.window, sent < entries.count {
        let end = min(entries.count, sent + FederationPlan.pieceEntries)
        let piece = entries[sent..<end].map { Int64(bitPattern: $0) }
        try connection.send(
          .upload(sum: sum, attempt: attempt, offset: sent, entries: Tensor(piece, shape: [piece.count])))
        sent = end
        unanswered += 1
      }
      guard let count = try awaitHeld(sum, attempt) else { return }
      held = count
      unanswered -= 1
      // A piece that was dropped: what follows it was, too.
      if unanswered == 0 { sent = held }
    }
    try connection.send(.finishUpload(sum: sum, attempt: attempt, header: Tensor(header, shape: [header.count])))
    guard try awaitHeld(sum, attempt) != nil else { return }
    observe(.sent(purpose, entries: entries.count))
  }

  /// - Returns: entries that the aggregator holds; nil when it does not want the upload (any more).
  private func awaitHeld(_ sum: UInt64, _ attempt: Int) throws -> Int? {
    try awaitAnswer { answer -> Int?? in
      switch answer {
      case .uploadHeld(sum, attempt, let entries): return .some(entries)
      case .uploadUnwanted(sum, attempt, let reason):
        observe(.leftOut(reason: reason))
        return .some(nil)
      default: return nil
      }
    }
  }

  /// Sends the starting model where the aggregator has no other.
  func sendStart(from held: Int) throws {
    let vector = try work.start()
    var held = held
    while held < vector.count {
      let piece = Array(vector[held..<min(vector.count, held + FederationPlan.pieceEntries)])
      try connection.send(.start(offset: held, entries: Tensor(piece, shape: [piece.count])))
      held = try awaitAnswer { answer -> Int? in
        if case .startWanted(let count) = answer { return count }
        return nil
      }
    }
  }

  /// The whole model after so many rounds.
  ///
  /// - Throws: `SiteError.aggregatorLies` for pieces that were not asked for, and for numbers that are none.
  func fetch(rounds: Int) throws -> [Float] {
    let count = work.plan.modelLength(entries: work.modelEntries)
    var vector: [Float] = []
    vector.reserveCapacity(count)
    // The aggregator chooses how long pieces are; once the first is here, several are asked for ahead.
    var size = count
    var asked = 0
    while vector.count < count {
      while asked < count, asked - vector.count < Self.window * size {
        try connection.send(.fetch(rounds: rounds, offset: asked))
        asked += size
      }
      let piece = try awaitPiece(rounds, at: vector.count, expected: vector.isEmpty ? nil : size, of: count)
      if vector.isEmpty { (size, asked) = (piece.count, piece.count) }
      piece.withUnsafeBufferPointer { vector.append(contentsOf: $0) }
    }
    return vector
  }

  /// - Parameter expected: entries of a piece, of which the last may have fewer; nil for the first.
  private func awaitPiece(_ rounds: Int, at offset: Int, expected: Int?, of count: Int) throws -> Tensor<Float> {
    try awaitAnswer { answer -> Tensor<Float>? in
      guard case .model(rounds, let start, let entries) = answer else { return nil }
      guard start == offset, entries.count >= 1, entries.count <= count - offset, entries.allFinite,
        expected.map({ entries.count == min($0, count - offset) }) ?? true
      else {
        throw SiteError.aggregatorLies(
          "the aggregator sent a piece of a model that does not fit, or holds no numbers")
      }
      return entries
    }
  }

  /// Waits for the answer to what was just sent; what else comes meanwhile is handled after it.
  private func awaitAnswer<Value>(_ accept: (AggregatorAnswer) throws -> Value?) throws -> Value {
    while true {
      guard let answer = try receiveNew(timeout: .milliseconds(500)) else { continue }
      if let value = try accept(answer) { return value }
      postpone(answer)
    }
  }
}
