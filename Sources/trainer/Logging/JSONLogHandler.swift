import Failures
import Foundation
import Logging

/// One JSON object a line on standard error: `time` (ISO 8601, UTC), `level`, `message`, `rank` (a number), and the metadata as
/// further keys with text for values: `job` on every line that is about one, `owner`, `reason`, `step` and so on.
struct JSONLogHandler: LogHandler {
  let rank: Int
  var logLevel: Logger.Level = .info
  var metadata: Logger.Metadata = [:]

  private enum Field: Encodable {
    case text(String)
    case number(Int)

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      switch self {
      case .text(let text): try container.encode(text)
      case .number(let number): try container.encode(number)
      }
    }
  }

  init(rank: Int) {
    self.rank = rank
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var line: [String: Field] = ["rank": .number(rank)]
    for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }) {
      line[key] = .text("\(value)".printable(limit: 2000))
    }
    line["time"] = .text(Date().ISO8601Format(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
    line["level"] = .text(event.level.rawValue)
    line["message"] = .text("\(event.message)".printable(limit: 2000))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(line) else { return }
    StandardError.write(String(decoding: data, as: UTF8.self) + "\n")
  }
}
