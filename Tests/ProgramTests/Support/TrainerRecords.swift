import Foundation
import Testing

/// The log of a server that was started with `--log-format json`, line by line.
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

/// A strict reader of Prometheus' text format 0.0.4: more is refused than Prometheus itself would refuse.
struct PrometheusText {
  struct Malformed: Error, CustomStringConvertible {
    let description: String
  }

  /// By name and labels as written.
  private(set) var samples: [String: Double] = [:]
  private(set) var types: [String: String] = [:]

  init(_ text: String) throws {
    guard text.hasSuffix("\n") else { throw Malformed(description: "the last line has no end") }
    var helped: String?
    var present: String?
    for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
      func expect(_ condition: Bool, _ what: String) throws {
        if !condition { throw Malformed(description: "\(what): \(line)") }
      }
      let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
      if line.hasPrefix("# HELP ") {
        try expect(words.count == 4 && words[3].count > 1 && types[words[2]] == nil, "no help")
        helped = words[2]
      } else if line.hasPrefix("# TYPE ") {
        try expect(words.count == 4 && words[2] == helped, "a type without its help")
        try expect(["counter", "gauge", "histogram"].contains(words[3]), "an unknown type")
        try expect(words[3] != "counter" || words[2].hasSuffix("_total"), "a counter's name")
        types[words[2]] = words[3]
        present = words[2]
      } else {
        let key = String(line.prefix { $0 != " " })
        let name = String(key.prefix { $0 != "{" })
        // A histogram has samples of three names.
        let parts = types[present ?? ""] == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
        try expect(parts.contains { name == (present ?? "") + $0 }, "a sample of another metric")
        let isName = name.utf8.allSatisfy {
          (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "_")
        }
        try expect(isName, "a name")
        // Labels without blanks are all that these tests meet.
        try expect(
          key == name || key.wholeMatch(of: /[a-z_0-9]+\{[a-z_]+="[^"\\]*"(,[a-z_]+="[^"\\]*")*\}/) != nil, "labels")
        let value = Double(line.dropFirst(key.count + 1))
        try expect(value.map { $0.isFinite && $0 >= 0 } == true && samples[key] == nil, "a value, once")
        samples[key] = value
      }
    }
    for (type, kind) in types {
      let name = kind == "histogram" ? type + "_bucket" : type
      if samples.keys.contains(where: { $0 == name || $0.hasPrefix(name + "{") }) { continue }
      throw Malformed(description: "no sample of \(name)")
    }
  }

  /// What a server on this machine answers to one who asks for its metrics.
  static func scrape(_ port: UInt16) throws -> PrometheusText {
    let answer = try PlainConnection.exchange(port: port, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    let parts = answer.components(separatedBy: "\r\n\r\n")
    try #require(parts.count == 2, "\(answer)")
    #expect(parts[0].hasPrefix("HTTP/1.0 200 OK\r\n"))
    #expect(parts[0].contains("Content-Type: text/plain; version=0.0.4"))
    #expect(parts[0].contains("Content-Length: \(parts[1].utf8.count)\r\n"))
    return try PrometheusText(parts[1])
  }

  subscript(_ key: String) -> Double { samples[key] ?? -1 }

  /// The sum over all labels.
  func sum(_ name: String) -> Double {
    samples.filter { $0.key == name || $0.key.hasPrefix(name + "{") }.values.reduce(0, +)
  }
}
