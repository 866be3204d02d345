import Foundations
package import Foundation
import Synchronization

/// A text file that grows line by line and survives a kill at any moment: the history of a run.
///
/// A line goes out in one write(2) at the end of the file. What a crash may leave is a torn last line, which readers pass
/// over and the next opening cuts off. One process writes at a time.
package final class LineLog: Sendable {
  private struct State {
    var lines: Int
    /// Bytes up to the last complete line's end.
    var length: Int
  }

  private let file: OpenFile
  private let state: Mutex<State>

  /// Opens or makes the file and cuts off a torn last line.
  ///
  /// - Parameter mode: permissions of a new file before the process's umask.
  package init(path: String, mode: mode_t = 0o600) throws(FileError) {
    file = try OpenFile.open(path, O_RDWR | O_CREAT, mode: mode, as: .create)
    let (lines, length) = try Self.completeLines(in: file, atMost: .max)
    if try file.length() > length { try file.truncate(to: length) }
    state = Mutex(State(lines: lines, length: length))
  }

  /// Complete lines in the file.
  package var lineCount: Int { state.withLock(\.lines) }

  /// Appends `line` and a line feed.
  ///
  /// - Throws: `.log(.lineBreakInLine)`; `.system` when the disk is full, and then the file is as it was.
  package func append(_ line: String) throws(FileError) {
    var bytes = Array(line.utf8)
    guard !bytes.contains(0x0A) else { throw .log(path: file.path, .lineBreakInLine) }
    bytes.append(0x0A)
    try state.withLock { (state) throws(FileError) in
      do throws(FileError) {
        try file.write(bytes, at: state.length)
      } catch {
        // A part may have gone out; the first error is the one to report.
        try? file.truncate(to: state.length)
        throw error
      }
      state.length += bytes.count
      state.lines += 1
    }
  }

  /// Checks that the path still leads to the open file, and that nothing else has cut or lengthened it: what is written to a file that was
  /// moved away or removed is lost, and in one that was emptied it stands behind a hole.
  ///
  /// - Throws: `.log(.gone)`, `.log(.replaced)`, `.log(.otherLength)`; `.system`.
  package func checkInPlace() throws(FileError) {
    var named = stat()
    // Links are followed, as they are when the file is opened.
    if stat(file.path, &named) != 0 {
      let code = errno
      throw code == ENOENT || code == ENOTDIR
        ? .log(path: file.path, .gone) : .system(.read, path: file.path, code: code)
    }
    let open = try file.status()
    guard named.st_dev == open.st_dev, named.st_ino == open.st_ino else { throw .log(path: file.path, .replaced) }
    let written = state.withLock(\.length)
    guard Int(open.st_size) == written else {
      throw .log(path: file.path, .otherLength(written: written, found: Int(open.st_size)))
    }
  }

  /// Keeps the first `lines` lines. Shortening a file is one operation of the file system, so that a crash leaves the old
  /// length or the new.
  ///
  /// - Throws: `.log(.tooFewLines)` when there are fewer.
  package func truncate(toLines lines: Int) throws(FileError) {
    try state.withLock { (state) throws(FileError) in
      guard lines >= 0, lines <= state.lines else {
        throw .log(path: file.path, .tooFewLines(kept: state.lines, asked: lines))
      }
      let kept = try Self.completeLines(in: file, atMost: lines)
      try file.truncate(to: kept.length)
      state = State(lines: kept.lines, length: kept.length)
      try file.sync()
    }
  }

  /// Returns when every line is on the disk.
  package func sync() throws(FileError) {
    try file.sync()
  }

  /// Everything in the file, also a torn last line.
  ///
  /// - Throws: `.system` when there is no such file, or it is not a regular one.
  package static func content(of path: String) throws(FileError) -> Data {
    let file = try OpenFile.openRegular(path)
    var bytes = [UInt8](repeating: 0, count: try file.length())
    let got = try file.read(into: &bytes, at: 0)
    return Data(bytes[..<got])
  }

  /// The complete lines of a file without their line feeds; a torn last line is left out.
  ///
  /// - Throws: `.system` when there is no such file, `.log(.notUTF8)`.
  package static func lines(of path: String) throws(FileError) -> [String] {
    let file = try OpenFile.openRegular(path)
    let length = try completeLines(in: file, atMost: .max).length
    var bytes = [UInt8](repeating: 0, count: length)
    let got = try file.read(into: &bytes, at: 0)
    var lines: [String] = []
    var start = 0
    while start < got, let end = bytes[start..<got].firstIndex(of: 0x0A) {
      guard let line = String(validating: bytes[start..<end], as: UTF8.self) else {
        throw .log(path: path, .notUTF8(line: lines.count + 1))
      }
      lines.append(line)
      start = end + 1
    }
    return lines
  }

  /// Hands out the complete lines of a file without their line feeds, one after the other, so that no more than one is in memory; of one that
  /// is longer than `longest` bytes only so many. A torn last line is left out.
  ///
  /// - Throws: `.system` when there is no such file, or it cannot be read.
  package static func forEachLine(
    of path: String, longest: Int, _ body: (ArraySlice<UInt8>) -> Void
  ) throws(FileError) {
    let file = try OpenFile.openRegular(path)
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    /// What chunks before this one had of a line.
    var begun: [UInt8] = []
    var offset = 0
    while true {
      let got = try file.read(into: &chunk, at: offset)
      if got == 0 { return }
      offset += got
      var rest = chunk[..<got]
      while let end = rest.firstIndex(of: 0x0A) {
        if begun.isEmpty {
          body(rest[..<end].prefix(longest))
        } else {
          begun += rest[..<end].prefix(max(0, longest - begun.count))
          body(begun[...])
          begun.removeAll(keepingCapacity: true)
        }
        rest = rest[(end + 1)...]
      }
      begun += rest.prefix(max(0, longest - begun.count))
    }
  }

  /// How many complete lines there are, up to `limit`, and where they end.
  private static func completeLines(
    in file: OpenFile, atMost limit: Int
  ) throws(FileError) -> (lines: Int, length: Int) {
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    var lines = 0
    var length = 0
    var offset = 0
    while lines < limit {
      let got = try file.read(into: &chunk, at: offset)
      if got == 0 { break }
      for position in 0..<got where chunk[position] == 0x0A && lines < limit {
        lines += 1
        length = offset + position + 1
      }
      offset += got
    }
    return (lines, length)
  }
}

package enum LineLogProblem: Equatable, Sendable, CustomStringConvertible {
  case lineBreakInLine
  /// From 1.
  case notUTF8(line: Int)
  case tooFewLines(kept: Int, asked: Int)
  /// The path of an open log no longer exists.
  case gone
  /// It leads to another file.
  case replaced
  /// Another program has cut or lengthened the file. In bytes.
  case otherLength(written: Int, found: Int)
  /// Of a log of binary records.
  case recordTooLong

  var kind: FailureKind {
    switch self {
    case .lineBreakInLine, .recordTooLong: .defect
    case .notUTF8, .tooFewLines, .gone, .replaced, .otherLength: .inputData
    }
  }

  package var description: String {
    switch self {
    case .lineBreakInLine: "a line to append holds a line break"
    case .recordTooLong: "a record to append is longer than any that is read"
    case .notUTF8(let line): "line \(line) is not UTF-8 text; the file is damaged"
    case .tooFewLines(let kept, let asked): "has \(kept) lines where \(asked) were written; the file is damaged"
    case .gone: "was moved away or removed while it was in use; put it back, or restart the program to begin a new one"
    case .replaced:
      "is another file than the one in use; put that one back, or restart the program to go on with the one that is there"
    case .otherLength(let written, let found):
      "has \(found) bytes where \(written) were written: something else has changed it while it was in use; put its content back, or "
        + "restart the program to go on with what is there"
    }
  }
}
