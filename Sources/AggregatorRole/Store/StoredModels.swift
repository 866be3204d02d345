import Cryptography
import Federation
import Files
import Foundations
import Numerics

/// The models in the store. Each is read once and compared with the hash that the agenda has of it before anything of it is used; from then on
/// every piece that is read is compared with what that piece was.
///
/// Used by one thread at a time.
final class StoredModels {
  private let files: FederationFiles
  /// Of each model that was found whole, or written by this process.
  private var pieces: [Int: [UInt64]] = [:]

  init(_ files: FederationFiles) {
    self.files = files
  }

  /// A model that this process has written.
  func note(_ rounds: Int, _ written: [UInt64]) { pieces[rounds] = written }

  /// What each piece of a model is, in order.
  ///
  /// - Parameters:
  ///   - hash: SHA-256 of the model, in hexadecimal, as the agenda has it.
  ///   - length: entries of it.
  /// - Throws: `AggregatorError.damaged`; `FileError`.
  @discardableResult
  func check(_ rounds: Int, hash: String, length: Int) throws -> [UInt64] {
    if let known = pieces[rounds] { return known }
    let file = try open(rounds, length: length)
    var found = SHA256()
    var hashes = PieceHashes()
    var start = 0
    while start < length {
      let count = min(length - start, PieceHashes.entries)
      let piece: Tensor<Float> = try files.numbers(count, of: file, at: start)
      piece.withUnsafeBufferPointer { values in
        found.update(UnsafeRawBufferPointer(values))
        hashes.update(UnsafeRawBufferPointer(values))
      }
      start += count
    }
    guard found.finalize().bytes.hexadecimal == hash else { throw damaged(rounds) }
    let all = hashes.finish()
    pieces[rounds] = all
    return all
  }

  /// That a model is there, and as long as it must be.
  func checkLength(_ rounds: Int, length: Int) throws { _ = try open(rounds, length: length) }

  /// Entries of a model from `offset` on, at most to the end of the piece that it is in.
  ///
  /// - Parameters: as of `check`; `offset` at least 0 and below `length`.
  /// - Throws: as `check`.
  func piece(_ rounds: Int, from offset: Int, hash: String, length: Int) throws -> Tensor<Float> {
    let known = try check(rounds, hash: hash, length: length)
    let number = offset / PieceHashes.entries
    let start = number * PieceHashes.entries
    let file = try open(rounds, length: length)
    let piece: Tensor<Float> = try files.numbers(min(length - start, PieceHashes.entries), of: file, at: start)
    var hashes = PieceHashes()
    piece.withUnsafeBufferPointer { hashes.update(UnsafeRawBufferPointer($0)) }
    guard known.indices.contains(number), hashes.finish() == [known[number]] else { throw damaged(rounds) }
    guard offset > start else { return piece }
    let rest = Array(piece.elements[(offset - start)...])
    return Tensor(rest, shape: [rest.count])
  }

  private func open(_ rounds: Int, length: Int) throws -> SpoolFile {
    let path = files.model(rounds)
    guard RegularFile.exists(path) else { throw AggregatorError.damaged(path: path, "is not there any more") }
    let file = try SpoolFile(reading: path)
    let (bytes, expected) = (try file.length, length * MemoryLayout<Float>.stride)
    guard bytes == expected else {
      throw AggregatorError.damaged(path: path, "has \(bytes) bytes where \(expected) were written")
    }
    return file
  }

  func damaged(_ rounds: Int) -> AggregatorError {
    .damaged(path: files.model(rounds), AggregatorError.otherContent)
  }
}

/// XXH64 of each piece of a model's file, of `entries` single-precision numbers, however it is read or written.
struct PieceHashes {
  static let entries = FederationPlan.pieceEntries
  private static let bytes = entries * MemoryLayout<Float>.stride

  private var done: [UInt64] = []
  private var present = ContentHash()
  private var filled = 0

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let part = rest.prefix(Self.bytes - filled)
      present.update(UnsafeRawBufferPointer(rebasing: part))
      filled += part.count
      rest = rest.dropFirst(part.count)
      if filled == Self.bytes { close() }
    }
  }

  /// Of all pieces, the last of which may be shorter.
  mutating func finish() -> [UInt64] {
    if filled > 0 { close() }
    return done
  }

  private mutating func close() {
    done.append(present.value())
    (present, filled) = (ContentHash(), 0)
  }
}
