import Foundation
import Logging

/// One line a message on standard error: time, level, message, metadata in order of their keys.
struct TextLogHandler: LogHandler {
  var logLevel: Logger.Level = .info
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let level = event.level.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
    var line = "\(Date().ISO8601Format()) \(level) \(event.message)"
    let all = metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 })
    for (key, value) in all.sorted(by: { $0.key < $1.key }) { line += "  \(key)=\(Self.quoted("\(value)"))" }
    StandardError.write(line.filter { !$0.isNewline } + "\n")
  }

  /// Values with blanks stand in quotes, so that a line can be taken apart again.
  private static func quoted(_ text: String) -> String {
    text.contains(" ") ? "\"\(text)\"" : text
  }
}
