package import Federation
import Files
import Foundation
import Foundations
import OwnerRole

/// `history.jsonl` of a site: one line for each sum that the aggregator has finished, in order.
///
/// A line says by itself whether it is what was written (`CheckedJSON`), and which line is before it. Those of version 1 were records alone; a run that has
/// such goes on behind them.
package struct SiteHistory {
  /// A record with what tells of damage beside it, all keys of one object.
  private struct Line: Codable {
    enum CodingKeys: String, CodingKey {
      case version, previous
    }

    static let currentVersion = 2

    let record: SumRecord
    /// Nil in version 1.
    let version: Int?
    /// XXH64, in hexadecimal, of the line before; nil for the first.
    let previous: String?

    init(_ record: SumRecord, after previous: String?) {
      (self.record, self.previous) = (record, previous)
      version = Self.currentVersion
    }

    init(from decoder: any Decoder) throws {
      record = try SumRecord(from: decoder)
      let container = try decoder.container(keyedBy: CodingKeys.self)
      version = try container.decodeIfPresent(Int.self, forKey: .version)
      previous = try container.decodeIfPresent(String.self, forKey: .previous)
    }

    func encode(to encoder: any Encoder) throws {
      try record.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encodeIfPresent(version, forKey: .version)
      try container.encodeIfPresent(previous, forKey: .previous)
    }
  }

  private let log: LineLog
  package private(set) var records: [SumRecord] = []
  /// XXH64 of the last line; nil before the first.
  private var last: String?

  /// Opens or creates the file; a torn last line, left by a kill, is dropped, as the aggregator sends it again.
  ///
  /// - Throws: `SiteError.damaged` for a line that is not what was written, or not behind the one that it was written behind; `FileError`.
  package init(_ directory: SiteDirectory) throws {
    let path = directory.run.history.path
    if RegularFile.exists(path) {
      var isChecked = false
      for line in try Self.lines(of: path) {
        guard let read = Self.read(line, after: last), read.version != nil || !isChecked else {
          throw Self.damaged(path)
        }
        isChecked = read.version != nil
        records.append(read.record)
        last = Self.hash(line)
      }
    }
    log = try LineLog(path: path)
  }

  /// Complete lines, whatever is in them.
  ///
  /// - Throws: `SiteError.damaged` for what is no text; `FileError`.
  static func lines(of path: String) throws -> [String] {
    do {
      return try LineLog.lines(of: path)
    } catch FileError.log {
      throw damaged(path)
    }
  }

  private static func read(_ text: String, after previous: String?) -> Line? {
    guard let (line, isChecked) = CheckedJSON.decode(Line.self, from: Data(text.utf8)) else { return nil }
    guard line.version != nil else { return !isChecked && line.previous == nil ? line : nil }
    return isChecked && line.version == Line.currentVersion && line.previous == previous ? line : nil
  }

  private static func hash(_ line: String) -> String {
    var hash = ContentHash()
    hash.update(line)
    return hash.value().hexadecimal
  }

  private static func damaged(_ path: String) -> SiteError {
    .damaged(
      path: path, "is not what was written: remove it, and resume; the aggregator sends the records of all sums again")
  }

  mutating func append(_ record: SumRecord) throws {
    let line = try CheckedJSON.line(Line(record, after: last))
    try log.append(line)
    try log.sync()
    records.append(record)
    last = Self.hash(line)
  }
}
