import Foundation

/// Progress and errors go here, results to standard output.
enum StandardError {
  /// What cannot be written, because nobody reads it any more, is dropped: progress is no reason to end a run.
  static func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.write(STDERR_FILENO, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Replaces the terminal's present line, cut to its width: a longer one would wrap and could not be replaced again.
  static func replaceLine(_ text: String) {
    var size = winsize()
    let width = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    write("\r\u{1B}[K\(text.prefix(width - 1))")
  }
}
