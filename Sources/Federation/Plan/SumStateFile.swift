import Cryptography
package import Files
import Foundation

/// The file that a party keeps its state of secure sums in (`SumParty`, `SumCoordinator`): secret, and checked.
package enum SumStateFile {
  /// Far above what a set-up of the most sites and sums takes.
  private static let mostBytes = 1 << 30

  /// - Throws: as `CheckedFile.write`.
  package static func write(_ state: UnsafeRawBufferPointer, to path: String) throws(FileError) {
    try CheckedFile.write(state, to: path)
  }

  /// The state as it was written last, in memory that is zeroed afterwards.
  ///
  /// - Parameter body: called with nil where there is no such file.
  /// - Throws: `FileError`: `.file(.short)` for an empty file, `.file(.tooLong)`, `.file(.altered)`; what `body` throws.
  package static func withState<Value>(
    _ path: String, _ body: (UnsafeRawBufferPointer?) throws -> Value
  ) throws -> Value {
    // Whatever stands in its place is not nothing: a new state would use keys again.
    guard FileManager.default.fileExists(atPath: path) else { return try body(nil) }
    let file = try SpoolFile(reading: path)
    let length = try file.length
    guard length > 0 else { throw FileError.file(path: path, .short) }
    guard length <= mostBytes else { throw FileError.file(path: path, .tooLong(limit: mostBytes)) }
    let state = SecretBuffer(byteCount: length)
    try file.read(into: state.bytes, at: 0)
    return try state.withUnsafeBytes { try body(try CheckedFile.content(of: $0, path: path)) }
  }
}
