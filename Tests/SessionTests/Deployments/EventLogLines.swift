import Foundation

/// What an event log says.
enum EventLogLines {
  private struct Line: Decodable {
    let event: String
  }

  static func events(of store: URL) throws -> [String] {
    try String(contentsOf: store.appending(path: "audit.log"), encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode(Line.self, from: Data($0.utf8)).event
    }
  }
}
