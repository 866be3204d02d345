import Checkpoints
import Foundation

/// Checks an audit log from its first line to its last.
///
/// What shows: a line changed, taken out, put in, or moved. What does not show by itself: lines taken off the end, and a
/// change of the very last line, which no other line speaks of. Whoever noted the last hash at any time finds both with it.
package struct AuditVerification: Equatable {
  package struct Break: Equatable, Sendable {
    /// From 1.
    package let line: Int
    package let reason: String
  }

  /// Complete lines in the file.
  package private(set) var lines = 0
  package private(set) var firstBreak: Break?
  /// Of the last line before any break; of `AuditLine.origin` when there is none.
  package private(set) var lastHash = AuditLine.origin
  /// Lines whose time is before that of the line before: the machine's clock was set back.
  package private(set) var clockSetBack: [Int] = []
  /// Bytes of an unfinished line at the end: a write under way, or a crash, which the trainer puts aside when it starts.
  package private(set) var tornBytes = 0
  /// The line that has the expected hash.
  package private(set) var expectedLine: Int?

  /// - Parameter expected: a hash that was noted; 64 hexadecimal digits in lower case.
  /// - Throws: `CheckpointError` when the file cannot be read.
  package init(path: String, expected: String? = nil) throws {
    let content = try LineLog.content(of: path)
    var date: Date?
    var start = content.startIndex
    while start < content.endIndex {
      guard let end = content[start...].firstIndex(of: 0x0A) else {
        tornBytes = content.endIndex - start
        break
      }
      let bytes = content[start..<end]
      start = end + 1
      lines += 1
      if firstBreak != nil { continue }
      switch check(bytes) {
      case .failure(let found): firstBreak = found
      case .success(let time):
        if let date, time < date { clockSetBack.append(lines) }
        date = time
        lastHash = AuditLine.hash(of: bytes)
        if lastHash == expected { expectedLine = lines }
      }
    }
  }

  private func check(_ bytes: Data) -> Result<Date, Break> {
    func broken(_ reason: String) -> Result<Date, Break> { .failure(Break(line: lines, reason: reason)) }
    guard let line = try? JSONDecoder().decode(AuditLine.self, from: Data(bytes)) else {
      return broken("it is not a line of an audit log")
    }
    guard line.previous == lastHash else {
      let isNext = line.sequence == lines
      if lines == 1 { return broken("it is not the first line that was written: lines before it are missing") }
      return broken(
        isNext
          ? "line \(lines - 1) was changed after it was written: it does not have the hash that this line holds of it"
          : "it is line \(line.sequence) by its own number: lines were taken out, put in or moved here")
    }
    guard line.sequence == lines else { return broken("its number is \(line.sequence)") }
    guard let date = line.date else { return broken("its time cannot be read") }
    return .success(date)
  }
}

extension AuditVerification.Break: Error {}
