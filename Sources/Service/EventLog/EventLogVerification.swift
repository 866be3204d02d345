import Files
import Foundations
import Foundation

/// The end of a log on disk: what its next line continues.
struct EventLogEnd {
  let path: String
  /// 0 and `EventLogLine.origin` where there is no line.
  let lastSequence: Int
  let lastHash: String
  /// Bytes after the last line feed.
  private let torn: Data

  /// - Throws: `FileError` when the file cannot be read; `ServiceError` of kind `.checkFailed` when the last line is none of an event log.
  init(path: String, program: String) throws {
    self.path = path
    let content: Data
    do {
      content = try LineLog.content(of: path)
    } catch {
      guard case .system(.open, _, let code) = error, code == ENOENT else { throw error }
      content = Data()
    }
    let end = content.lastIndex(of: 0x0A)
    torn = Data(end.map { content[($0 + 1)...] } ?? content)
    guard let end else {
      (lastSequence, lastHash) = (0, EventLogLine.origin)
      return
    }
    let lines = content[..<end]
    let last = lines.lastIndex(of: 0x0A).map { lines[($0 + 1)...] } ?? lines
    guard let line = try? JSONDecoder().decode(EventLogLine.self, from: Data(last)), line.sequence > 0,
      line.sequence < .max
    else {
      throw ServiceError(
        .checkFailed,
        "\(path): its last line is not a line of an event log; look with `\(program) verify-log`, and move the file away to begin a new one"
      )
    }
    lastSequence = line.sequence
    lastHash = EventLogLine.hash(of: last)
  }

  /// Copies an unfinished line to a file of its own, before the log is opened and cuts it off.
  ///
  /// A file that was put aside for the next sequence number but is not mentioned in the log, because the server was killed in
  /// between, is mentioned now.
  ///
  /// - Returns: what to say of it; nil when all is well.
  func putTornLineAside() throws -> String? {
    let directory = (path as NSString).deletingLastPathComponent
    let stem = "\(EventLog.fileName).torn-\(lastSequence + 1)"
    var names = try Directory.names(in: directory).filter { $0 == stem || $0.hasPrefix(stem + ".") }
    if !torn.isEmpty {
      let name = names.isEmpty ? stem : "\(stem).\(names.count + 1)"
      try AtomicFile.write(torn, to: directory + "/" + name, mode: 0o600, replacing: false)
      names.append(name)
    }
    guard !names.isEmpty else { return nil }
    return "a line that a crash left unfinished was put aside as \(names.sorted().joined(separator: ", "))"
  }
}

/// Checks an event log from its first line to its last.
///
/// What shows: a line changed, taken out, put in, or moved. What does not show by itself: lines taken off the end, and a
/// change of the very last line, whose hash no other line holds. Whoever noted the last hash at any time finds both with it.
package struct EventLogVerification: Equatable {
  package struct Break: Equatable, Sendable {
    /// From 1.
    package let line: Int
    package let reason: String
  }

  /// Complete lines in the file.
  package private(set) var lines = 0
  package private(set) var firstBreak: Break?
  /// Of the last line before any break; of `EventLogLine.origin` when there is none.
  package private(set) var lastHash = EventLogLine.origin
  /// Lines whose time is before that of the line before: the machine's clock was set back.
  package private(set) var clockSetBack: [Int] = []
  /// Bytes of an unfinished line at the end: a write under way, or a crash, which the server puts aside when it starts.
  package private(set) var tornBytes = 0
  /// The line that has the expected hash.
  package private(set) var expectedLine: Int?

  /// - Parameter expected: a hash that was noted; 64 hexadecimal digits in lower case.
  /// - Throws: `FileError` when the file cannot be read.
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
        lastHash = EventLogLine.hash(of: bytes)
        if lastHash == expected { expectedLine = lines }
      }
    }
  }

  private func check(_ bytes: Data) -> Result<Date, Break> {
    func broken(_ reason: String) -> Result<Date, Break> { .failure(Break(line: lines, reason: reason)) }
    guard let line = try? JSONDecoder().decode(EventLogLine.self, from: Data(bytes)) else {
      return broken("it is not a line of an event log")
    }
    guard line.previous == lastHash else {
      let isNext = line.sequence == lines
      if lines == 1 { return broken("it is not the first line that was written: lines before it are missing") }
      return broken(
        isNext
          ? "line \(lines - 1) was changed after it was written: it does not have the hash that this line holds of it"
          : "it is line \(line.sequence) by its own number: lines were removed, inserted or moved here")
    }
    guard line.sequence == lines else { return broken("its number is \(line.sequence)") }
    guard let date = line.date else { return broken("its time cannot be read") }
    return .success(date)
  }
}

extension EventLogVerification.Break: Error {}
