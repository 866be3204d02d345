/// What somebody asked of the metrics port, as far as it matters there.
enum MetricsRequest: Equatable {
  case metrics
  case elsewhere
  case otherMethod
  case malformed

  /// Bytes of the largest head that is read.
  static let largestHead = 4096

  /// - Parameter head: everything up to the empty line, or what came instead of one.
  init(head: some Collection<UInt8>) {
    let line = String(decoding: head.prefix { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self)
    let words = line.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, words[2].hasPrefix("HTTP/1."), !words[0].isEmpty, words[1].hasPrefix("/"),
      words[0].utf8.allSatisfy({ (0x41...0x5A).contains($0) })
    else {
      self = .malformed
      return
    }
    if words[0] != "GET" {
      self = .otherMethod
    } else {
      self = words[1].prefix { $0 != "?" } == "/metrics" ? .metrics : .elsewhere
    }
  }

  /// Whether these bytes hold a whole head.
  static func isComplete(_ bytes: [UInt8]) -> Bool {
    // Lines end with CR LF; LF alone is taken too.
    var lineIsEmpty = false
    for byte in bytes {
      if byte == 0x0A {
        if lineIsEmpty { return true }
        lineIsEmpty = true
      } else if byte != 0x0D {
        lineIsEmpty = false
      }
    }
    return false
  }

  /// - Parameter page: made only when it is asked for.
  func answer(page: () -> String) -> String {
    switch self {
    case .metrics: Self.response("200 OK", type: "text/plain; version=0.0.4; charset=utf-8", page())
    case .elsewhere: Self.response("404 Not Found", "the metrics are at /metrics\n")
    case .otherMethod: Self.response("405 Method Not Allowed", extra: "Allow: GET\r\n", "only GET is answered\n")
    case .malformed: Self.response("400 Bad Request", "not an HTTP request that is understood here\n")
    }
  }

  private static func response(
    _ status: String, type: String = "text/plain; charset=utf-8", extra: String = "", _ body: String
  ) -> String {
    "HTTP/1.0 \(status)\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n\(extra)Connection: close\r\n\r\n\(body)"
  }
}
