package import Foundation

/// Files of settings and states, which are read whole.
package enum SmallFile {
  /// The bytes of a file; nil when there is none.
  ///
  /// - Throws: `.system`; `.file`, for one of more bytes than `limit` too.
  package static func read(_ path: String, limit: Int = 1 << 20) throws(CheckpointError) -> Data? {
    var status = stat()
    if stat(path, &status) != 0, errno == ENOENT { return nil }
    guard let bytes = try RegularFile.read(path, limit: limit) else {
      throw .file(path: path, .tooLong(limit: limit))
    }
    return Data(bytes)
  }
}
