import Foundation

/// Where programs write what is not their result: progress, logs and errors.
package enum StandardError {
  /// What cannot be written, on a full disk or to a pipe that nobody reads any more, is dropped: it is no reason to end a run or a service.
  package static func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }
}
