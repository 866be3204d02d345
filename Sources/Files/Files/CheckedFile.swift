package import Foundation
import Foundations

/// Files that tell by themselves whether they are what was written: state that nobody can make again, whose damage would otherwise show at
/// another party and look like its fault.
///
/// Behind the content come the 8 bytes `checked1` and XXH64 of the content, 8 bytes little-endian. A file without them is of a version
/// before, and its content is all of it. The hash finds damage; it does not protect against deliberate changes.
package enum CheckedFile {
  private static let magic = Array("checked1".utf8)
  private static let trailerBytes = 16

  /// - Throws: as `AtomicFile.write`.
  package static func write(_ bytes: UnsafeRawBufferPointer, to path: String) throws(FileError) {
    try AtomicFile.write(to: path) { (writer) throws(FileError) in
      try writer.write(bytes)
      try writer.write(magic + withUnsafeBytes(of: hash(bytes).littleEndian) { Array($0) })
    }
  }

  /// The content of a file's bytes.
  ///
  /// - Parameter path: that errors name.
  /// - Throws: `.file(.altered)`.
  package static func content(
    of bytes: UnsafeRawBufferPointer, path: String
  ) throws(FileError) -> UnsafeRawBufferPointer {
    guard bytes.count >= trailerBytes, bytes[(bytes.count - trailerBytes)...].starts(with: magic) else { return bytes }
    let content = UnsafeRawBufferPointer(rebasing: bytes[..<(bytes.count - trailerBytes)])
    let kept = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self))
    guard kept == hash(content) else { throw .file(path: path, .altered) }
    return content
  }

  private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    var hash = ContentHash()
    hash.update(bytes)
    return hash.value()
  }
}

/// JSON documents that do the same: an object with one key more, `check`: XXH64, 16 hexadecimal digits, of the document without it, keys
/// sorted and without spaces.
package enum CheckedJSON {
  /// - Parameter value: encodes as an object that has no key `check`.
  package static func encode(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(Document(value: value, check: try check(of: value)))
  }

  /// The same on one line, for a file of lines.
  package static func line(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return String(decoding: try encoder.encode(Document(value: value, check: try check(of: value))), as: UTF8.self)
  }

  /// - Returns: nil for what is no such document, or not what was written. `isChecked` is false for a document without the key, of a version
  ///   before.
  package static func decode<Value: Codable>(
    _ type: Value.Type, from bytes: Data
  ) -> (value: Value, isChecked: Bool)? {
    guard let document = try? JSONDecoder().decode(Document<Value>.self, from: bytes) else { return nil }
    guard let kept = document.check else { return (document.value, false) }
    guard let found = try? check(of: document.value), found == kept else { return nil }
    return (document.value, true)
  }

  private static func check(of value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return try encoder.encode(value).withUnsafeBytes { ContentHash.hexadecimal(of: $0) }
  }

  fileprivate struct Document<Value> {
    let value: Value
    let check: String?
  }

  fileprivate enum Key: CodingKey {
    case check
  }
}

extension CheckedJSON.Document: Encodable where Value: Encodable {
  func encode(to encoder: any Encoder) throws {
    try value.encode(to: encoder)
    var container = encoder.container(keyedBy: CheckedJSON.Key.self)
    try container.encodeIfPresent(check, forKey: .check)
  }
}

extension CheckedJSON.Document: Decodable where Value: Decodable {
  init(from decoder: any Decoder) throws {
    value = try Value(from: decoder)
    check = try decoder.container(keyedBy: CheckedJSON.Key.self).decodeIfPresent(String.self, forKey: .check)
  }
}

/// Lines of words that do the same: behind the text a space and XXH64 of it, 16 hexadecimal digits.
package enum CheckedLine {
  package static func line(_ text: String) -> String {
    "\(text) \(check(of: text))"
  }

  /// The text of a line; nil for what is not as it was written.
  package static func text(of line: String) -> String? {
    guard let end = line.lastIndex(of: " ") else { return nil }
    let text = String(line[..<end])
    return line[line.index(after: end)...] == check(of: text) ? text : nil
  }

  private static func check(of text: String) -> String {
    var hash = ContentHash()
    hash.update(text)
    return hash.value().hexadecimal
  }
}
