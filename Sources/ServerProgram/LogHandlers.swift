public import ArgumentParser
import Foundations
import Foundation
public import Logging

/// How log lines look.
package enum LogFormat: String, ExpressibleByArgument, CaseIterable {
  case text
  case json
}

extension Logger.Level: @retroactive ExpressibleByArgument {}

/// One line a message on standard error: time, level, message, metadata in order of their keys, each value as
/// `logField` writes it.
struct TextLogHandler: LogHandler {
  let block: StatusBlock?
  var logLevel: Logger.Level = .info
  var metadata: Logger.Metadata = [:]

  init(block: StatusBlock?) {
    self.block = block
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let level = event.level.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
    var line = "\(Date().ISO8601Format()) \(level) \("\(event.message)".printable(limit: 2000))"
    let all = metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 })
    for (key, value) in all.sorted(by: { $0.key < $1.key }) { line += "  \(key)=\("\(value)".logField)" }
    if let block { block.write(above: line) } else { StandardError.write(line + "\n") }
  }
}

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

/// Which of the processes that were started together this one is, as whoever started them says.
enum ProcessRank {
  /// Open MPI's own, then PMIx's, then Slurm's.
  private static let variables = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"]

  /// 0 where nothing is said: a process started by itself.
  static func read(from environment: [String: String]) -> Int {
    for variable in variables {
      if let text = environment[variable], let rank = Int(text), rank >= 0 { return rank }
    }
    return 0
  }
}
