import Datasets
import Foundation

/// Texts that are all done, as they are written: `tokens` int32 [rows, longest], the new tokens of each row with the end token where there is one, and padding
/// after them; `lengths` int32 [rows]; `finished` uint8 [rows], 1 where an end token is the last; `seed` int64 [1] where tokens were drawn.
struct GeneratedTexts {
  private static let rowsPerBlock = 1024

  private let partial: PartialTexts
  private let padding: Int
  private let lengths: [Int32]
  private let isFinished: [UInt8]

  /// Of all texts.
  var tokens: Int { lengths.reduce(0) { $0 + Int($1) } }
  var finished: Int { isFinished.reduce(0) { $0 + Int($1) } }

  /// - Throws: `OwnerError.run` where one is missing.
  init(_ partial: PartialTexts, padding: Int) throws {
    self.partial = partial
    self.padding = padding
    let texts = try (0..<partial.subject.rows).map { row in
      let text = try partial.text(row: row)
      return (Int32(text.tokens.count), text.isFinished ? UInt8(1) : 0)
    }
    lengths = texts.map(\.0)
    isFinished = texts.map(\.1)
  }

  func write(to file: URL) throws {
    let writer = try written(to: file)
    try writer.commit()
  }

  /// Whether the file is there already, with just these texts.
  func areWhatIsThere(_ file: URL) throws -> Bool {
    try written(to: file).isWhatIsThere()
  }

  /// All but finished; released without that it leaves nothing behind.
  private func written(to file: URL) throws -> HDF5Writer {
    let writer = try HDF5Writer(path: file.path)
    let width = max(1, partial.longest)
    try writer.createMatrix("tokens", columns: width, of: Int32.self)
    for start in stride(from: 0, to: lengths.count, by: Self.rowsPerBlock) {
      let block = try (start..<min(lengths.count, start + Self.rowsPerBlock)).flatMap { row in
        let tokens = try partial.text(row: row).tokens
        return tokens + Array(repeating: Int32(truncatingIfNeeded: padding), count: width - tokens.count)
      }
      try writer.append(block, to: "tokens")
    }
    try writer.write(lengths, to: "lengths")
    try writer.write(isFinished, to: "finished")
    if !partial.subject.sampling.isGreedy { try writer.write([Int64(partial.subject.seed)], to: "seed") }
    return writer
  }
}
