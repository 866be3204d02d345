import Foundation

/// Where the programs' results go.
package enum StandardOutput {
  /// Brings what was printed out of its buffer.
  ///
  /// - Throws: `CheckpointError` when it cannot be written, of kind `.exhausted` for a full disk. A reader that has seen enough and closed
  ///   its pipe is no error.
  package static func finish() throws(CheckpointError) {
    guard fflush(nil) != 0, errno != EPIPE else { return }
    throw .system(.write, path: "standard output", code: errno)
  }
}
