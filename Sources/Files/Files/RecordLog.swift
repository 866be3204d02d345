package import Foundation
import Foundations

/// A file of binary records that grows at its end and survives a kill at any moment: answers that a long query has had so far.
///
/// 16 bytes that say what it is, and records. A record is its number of bytes (8, little-endian), the bytes, and their `ContentHash` (8, little-endian). What a crash leaves behind the last
/// whole record is cut off at the next opening. A kill loses no record, a power cut none that was there at the last `sync`. One process writes at a time.
package final class RecordLog {
  /// A record of more is no record of ours.
  package static let largestRecord = 1 << 31
  private static let frame = 8

  package let path: String
  private let file: OpenFile
  private let isNamed: Bool
  private var length = 0
  /// Where each whole record's bytes are.
  private var places: [Range<Int>] = []
  /// Bytes of it that are known to be on the disk, and whether its name is.
  private var lengthOnDisk = 0
  private var isNameOnDisk = false

  /// Opens or makes the file, its owner's alone, and looks through its records.
  ///
  /// - Parameter magic: 16 bytes; a file that does not begin with them stays as it is.
  /// - Throws: `.system`; `.file(.notRegular)`, `.file(.foreign)`.
  package convenience init(path: String, magic: [UInt8]) throws(FileError) {
    try self.init(
      try OpenFile.open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o600, as: .create), isNamed: true,
      magic)
  }

  /// A log that has no name and is gone with the process, however that ends: of what is not to be gone on with.
  package convenience init(unnamedIn directory: String, magic: [UInt8]) throws(FileError) {
    try self.init(try OpenFile.unnamed(in: directory), isNamed: false, magic)
  }

  private init(_ file: OpenFile, isNamed: Bool, _ magic: [UInt8]) throws(FileError) {
    self.file = file
    self.isNamed = isNamed
    path = file.path
    guard try file.status().st_mode & S_IFMT == S_IFREG else { throw .file(path: path, .notRegular) }
    let end = try file.length()
    if end < magic.count {
      // Killed before the first bytes were whole, or new.
      var begun = [UInt8](repeating: 0, count: end)
      _ = try file.read(into: &begun, at: 0)
      guard magic.starts(with: begun) else { throw .file(path: path, .foreign) }
      try file.write(magic, at: 0)
    } else {
      var begun = [UInt8](repeating: 0, count: magic.count)
      _ = try file.read(into: &begun, at: 0)
      guard begun == magic else { throw .file(path: path, .foreign) }
    }
    length = magic.count
    while let place = try record(at: length, end: end) {
      places.append(place)
      length = place.upperBound + Self.frame
    }
    if end > length { try file.truncate(to: length) }
  }

  package var count: Int { places.count }

  /// - Returns: where the bytes of the record at `offset` are; nil when there is no whole one.
  private func record(at offset: Int, end: Int) throws(FileError) -> Range<Int>? {
    guard end - offset >= 2 * Self.frame, let size = Int(exactly: try number(at: offset)) else { return nil }
    let start = offset + Self.frame
    guard size <= Self.largestRecord, size <= end - start - Self.frame else { return nil }
    var hash = ContentHash()
    var piece = [UInt8](repeating: 0, count: min(size, 1 << 20))
    var read = 0
    while read < size {
      let due = min(piece.count, size - read)
      if due < piece.count { piece.removeLast(piece.count - due) }
      guard try file.read(into: &piece, at: start + read) == due else { return nil }
      piece.withUnsafeBytes { hash.update($0) }
      read += due
    }
    return try number(at: start + size) == hash.value() ? start..<start + size : nil
  }

  private func number(at offset: Int) throws(FileError) -> UInt64 {
    var bytes = [UInt8](repeating: 0, count: Self.frame)
    _ = try file.read(into: &bytes, at: offset)
    return bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// - Parameters:
  ///   - index: below `count`.
  ///   - first: how many bytes of the record at most; nil for all.
  package func bytes(_ index: Int, first: Int? = nil) throws(FileError) -> Data {
    guard places.indices.contains(index) else { throw .file(path: path, .short) }
    var bytes = [UInt8](repeating: 0, count: min(first ?? .max, places[index].count))
    _ = try file.read(into: &bytes, at: places[index].lowerBound)
    return Data(bytes)
  }

  /// Appends a record in one write.
  ///
  /// - Throws: `.system` when the disk is full, `.log(.recordTooLong)` above `largestRecord`; then the file is as it was.
  package func append(_ content: some Collection<UInt8>) throws(FileError) {
    // The next opening would cut it off, and all records behind it.
    guard content.count <= Self.largestRecord else { throw .log(path: path, .recordTooLong) }
    var hash = ContentHash()
    let bytes = Array(content)
    bytes.withUnsafeBytes { hash.update($0) }
    let whole = Self.littleEndian(UInt64(bytes.count)) + bytes + Self.littleEndian(hash.value())
    do throws(FileError) {
      try file.write(whole, at: length)
    } catch {
      // A part may have gone out; the first error is the one to report.
      try? file.truncate(to: length)
      throw error
    }
    places.append(length + Self.frame..<length + Self.frame + bytes.count)
    length += whole.count
  }

  /// Whether a power cut leaves all of it: always of one without a name, of which nothing is to be left.
  package var isOnDisk: Bool { !isNamed || (isNameOnDisk && lengthOnDisk == length) }

  /// Returns when all that was appended has reached the disk, where it is not there already.
  ///
  /// - Throws: `.system`.
  package func sync() throws(FileError) {
    guard !isOnDisk else { return }
    try file.sync()
    lengthOnDisk = length
    guard !isNameOnDisk else { return }
    try Directory.sync(Directory.containing(path))
    isNameOnDisk = true
  }

  /// Removes the file, where it has a name.
  package func remove() throws(FileError) {
    if isNamed { try Directory.remove(path) }
  }

  private static func littleEndian(_ number: UInt64) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }
}
