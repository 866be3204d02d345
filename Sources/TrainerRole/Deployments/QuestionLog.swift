import Files
import Foundation
import Foundations
import Protocol

/// A deployment's log of questions as a file: a `QuestionLogHead`, then `QuestionRecord`s, each a `CheckedLine`.
enum QuestionLog {
  /// Bytes of a line; none that is written comes near.
  private static let longestLine = 1024

  /// What a log tells.
  struct Content {
    /// Nil where its first line is none.
    var owner: OwnerKey?
    /// What could be read of it.
    var book = QuestionBook()
    /// Whether every line was read and could follow those before it.
    var isWhole = true
    /// Of its first line, where this program does not know it: nothing else of it is read then.
    var laterVersion: Int?
  }

  /// - Throws: `FileError` when there is no such file, or the system does not let it be read.
  static func read(_ path: String) throws(FileError) -> Content {
    var content = Content()
    var version: Int?
    // A torn last line is what a kill leaves.
    try LineLog.forEachLine(of: path, longest: longestLine) { bytes in
      guard content.laterVersion == nil else { return }
      let line = String(decoding: bytes, as: UTF8.self)
      if let version {
        content.take(line, version: version)
      } else {
        let found = content.takeHead(line)
        if found > QuestionLogHead.version { content.laterVersion = found }
        version = found
      }
    }
    if content.owner == nil { content.isWhole = false }
    return content
  }

  /// The log as short as it can be, for a file that appears under its name later.
  static func write(_ book: QuestionBook, owner: OwnerKey, to writer: AtomicFileWriter) throws(FileError) {
    var text = CheckedLine.line(QuestionLogHead(owner: owner).text) + "\n"
    try book.forEachRecord { (record) throws(FileError) in
      text += CheckedLine.line(record.text) + "\n"
      guard text.utf8.count >= 64 << 10 else { return }
      try writer.write(Array(text.utf8))
      text = ""
    }
    try writer.write(Array(text.utf8))
  }

  static func line(_ record: QuestionRecord) -> String { CheckedLine.line(record.text) }
}

extension QuestionLog.Content {
  /// - Returns: the version that lines are to be read in.
  fileprivate mutating func takeHead(_ line: String) -> Int {
    let version = QuestionLogHead.version(of: line) ?? QuestionLogHead.version
    owner = text(of: line, version: version).flatMap { QuestionLogHead($0, version: version) }?.owner
    return version
  }

  /// What can be read counts whatever else is damaged.
  fileprivate mutating func take(_ line: String, version: Int) {
    guard let record = text(of: line, version: version).flatMap(QuestionRecord.init),
      book.add(record, rule: version == 1 ? .smallestNumber : .longestUnused)
    else {
      isWhole = false
      return
    }
  }

  private func text(of line: String, version: Int) -> String? {
    version == 1 ? line : CheckedLine.text(of: line)
  }
}

/// The same log with fewer lines, on its way to take the log's place. Used by one thread at a time.
final class ShorterQuestionLog {
  /// Where it is to be.
  let path: String
  private let writer: AtomicFileWriter
  /// Writes to the file that has no name of its own yet, and goes on with it when it has.
  private let log: LineLog

  /// - Throws: `FileError`; the log that is there stays.
  init(_ book: QuestionBook, owner: OwnerKey, path: String) throws(FileError) {
    self.path = path
    writer = try AtomicFileWriter(path: path)
    try QuestionLog.write(book, owner: owner, to: writer)
    log = try LineLog(path: writer.temporaryPath)
    try log.sync()
  }

  /// Puts it in the log's place.
  ///
  /// - Parameter lines: that were added to the log meanwhile.
  /// - Throws: `FileError`; the log that is there stays.
  func publish(adding lines: [String]) throws(FileError) -> LineLog {
    for line in lines { try log.append(line) }
    try writer.publish()
    return log
  }
}
