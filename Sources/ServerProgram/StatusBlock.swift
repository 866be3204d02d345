import Foundation
import Foundations
import Synchronization

/// Lines that stay at the foot of a terminal, and are replaced in place, while the lines of a log go by above them.
package final class StatusBlock: Sendable {
  private let shown = Mutex<[String]>([])

  /// Nil where standard error is no terminal.
  package init?() {
    guard isatty(STDERR_FILENO) == 1 else { return nil }
  }

  /// Replaces the lines; each is cut to the terminal's width, since one that wraps could not be replaced again.
  ///
  /// - Parameter lines: printable.
  package func show(_ lines: [String]) {
    shown.withLock { shown in
      let width = Self.width
      let next = lines.map { String($0.prefix(width - 1)) }
      StandardError.write(Self.erase(shown) + Self.text(next))
      shown = next
    }
  }

  func write(above line: String) {
    shown.withLock { shown in StandardError.write(Self.erase(shown) + line + "\n" + Self.text(shown)) }
  }

  private static func text(_ lines: [String]) -> String { lines.map { $0 + "\n" }.joined() }

  /// Moves to the first of the lines, and clears everything from there on.
  private static func erase(_ lines: [String]) -> String {
    lines.isEmpty ? "" : "\u{1B}[\(lines.count)A\r\u{1B}[J"
  }

  private static var width: Int {
    var size = winsize()
    return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 1 ? Int(size.ws_col) : 80
  }
}
