import Checkpoints
import Foundation

/// Where results go.
enum StandardOutput {
  /// Brings what was printed out of its buffer.
  ///
  /// - Throws: `CheckpointError` when it cannot be written, of kind `.exhausted` for a full disk. A reader that has seen enough and closed
  ///   its pipe is no error.
  static func finish() throws {
    guard fflush(nil) != 0, errno != EPIPE else { return }
    throw CheckpointError.system(.write, path: "standard output", code: errno)
  }
}
