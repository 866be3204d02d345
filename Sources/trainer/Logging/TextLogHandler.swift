import Failures
import Foundation
import Logging

/// One line a message on standard error: time, level, message, metadata in order of their keys, each value as
/// `logField` writes it.
struct TextLogHandler: LogHandler {
  var logLevel: Logger.Level = .info
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let level = event.level.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
    var line = "\(Date().ISO8601Format()) \(level) \("\(event.message)".printable(limit: 2000))"
    let all = metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 })
    for (key, value) in all.sorted(by: { $0.key < $1.key }) { line += "  \(key)=\("\(value)".logField)" }
    StandardError.write(line + "\n")
  }
}
