import Foundation

/// A file that grows by pieces at its end, and whose bytes are read at any place: something large on its way, or numbers that are worked on
/// piece by piece. Its length says how much of it is there, also after a kill.
///
/// Nothing is mapped: a full disk is an error instead of a signal.
package final class SpoolFile: Sendable {
  private let file: OpenFile

  package var path: String { file.path }

  /// Opens or makes a file that is to grow, readable by its owner only.
  ///
  /// - Throws: `.system`.
  package init(path: String) throws(FileError) {
    file = try OpenFile.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, as: .create)
  }

  /// Opens a file that is there, for reading alone.
  ///
  /// - Throws: `.system`, `.file(.notRegular)`.
  package init(reading path: String) throws(FileError) {
    file = try OpenFile.openRegular(path)
  }

  /// In bytes.
  package var length: Int {
    get throws(FileError) { try file.length() }
  }

  /// Writes at the end.
  ///
  /// - Parameter length: of the file before.
  /// - Throws: `.system`; the file is as long as it was then.
  package func append(_ bytes: UnsafeRawBufferPointer, after length: Int) throws(FileError) {
    do throws(FileError) {
      try file.write(bytes, at: length)
    } catch {
      // A part may have gone out; the first error is the one to report.
      try? file.truncate(to: length)
      throw error
    }
  }

  /// Takes off what is behind the first `length` bytes.
  package func cut(to length: Int) throws(FileError) {
    try file.truncate(to: length)
  }

  /// Fills `buffer` from byte `offset` on.
  ///
  /// - Throws: `.system`; `.file(.short)` when the file ends before that.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) {
    guard try file.read(into: buffer, at: offset) == buffer.count else { throw .file(path: file.path, .short) }
  }

  /// Returns when everything written is on the disk.
  package func sync() throws(FileError) {
    try file.sync()
  }
}
