import Foundation

/// The log of a trainer that was started with `--log-format json`, line by line.
struct JSONLog {
  let lines: [[String: Any]]

  /// - Throws: when a line is not one JSON object.
  init(_ text: String) throws {
    lines = try text.split(separator: "\n").map { line in
      guard let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
        throw CocoaError(.propertyListReadCorrupt)
      }
      return object
    }
  }

  func first(_ message: String) -> [String: Any]? {
    lines.first { $0["message"] as? String == message }
  }
}
