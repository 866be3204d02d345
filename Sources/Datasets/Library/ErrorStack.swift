import CHDF5
import Foundation

/// The messages that libhdf5 left on the calling thread's error stack when a call failed, the cause first.
struct ErrorStack {
  var messages: [String] = []

  /// Must run in the same `HDF5Library.locked` block as the failed call: the next call clears the stack.
  static func ofThisThread() -> ErrorStack {
    var stack = ErrorStack()
    withUnsafeMutablePointer(to: &stack) { pointer in
      _ = hdf5WalkErrors(
        { _, entry, context in
          guard let entry, let text = entry.pointee.desc, let context else { return 0 }
          context.assumingMemoryBound(to: ErrorStack.self).pointee.messages.append(String(cString: text))
          return 0
        }, pointer)
    }
    return stack
  }

  /// ` (libhdf5: …)` with the cause, or nothing.
  var explanation: String {
    guard let cause = messages.first else { return "" }
    return " (libhdf5: \(cause))"
  }

  /// Whether a write failed because there is no room: the file driver puts the error number into its message.
  var isDiskFull: Bool {
    // EFBIG is how a limit on the size of files (ulimit -f) shows.
    let numbers = [ENOSPC, EDQUOT, EFBIG].map { "errno = \($0)," }
    return messages.contains { message in numbers.contains { message.contains($0) } }
  }

  /// Whether a message says that the file is shorter than its superblock.
  static func isTruncation(_ message: String) -> Bool { message.contains("truncated file") }
}
