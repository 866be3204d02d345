import ArgumentParser
import Dispatch
import Foundation
package import Foundations

/// Answers `GET /metrics` over HTTP/1.0 on a loopback port: one connection after the other on a thread of its own, each for
/// two seconds at most and a head of `MetricsRequest.largestHead` bytes.
package final class MetricsServer {
  /// With the port the system chose for port 0.
  package let address: LoopbackAddress
  private let descriptor: Int32
  private let hasEnded = DispatchSemaphore(value: 0)

  package struct CannotListen: Failure {
    let address: LoopbackAddress
    let code: Int32

    package var kind: FailureKind { code == EACCES ? .keyOrPermission : .usage }
    package var description: String {
      "cannot serve metrics at \(address): \(String(cString: strerror(code))); choose another port with --metrics, or 0 for any"
    }
  }

  /// Listens at once.
  ///
  /// - Parameter page: called on the server's thread for each request.
  /// - Throws: `CannotListen`.
  package init(at wanted: LoopbackAddress, page: @escaping @Sendable () -> String) throws {
    let descriptor = socket(
      wanted.isIPv6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue),
      0)
    guard descriptor >= 0 else { throw CannotListen(address: wanted, code: errno) }
    do {
      // A port whose last connections are still being forgotten by the kernel can be used; one that is listened on cannot.
      var one: Int32 = 1
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
      guard wanted.withSocketAddress({ bind(descriptor, $0, $1) }) == 0, listen(descriptor, 16) == 0,
        let port = Self.port(of: descriptor)
      else { throw CannotListen(address: wanted, code: errno) }
      address = wanted.with(port: port)
    } catch {
      close(descriptor)
      throw error
    }
    self.descriptor = descriptor
    let thread = Thread { [hasEnded] in
      Self.serve(descriptor, page: page)
      hasEnded.signal()
    }
    thread.name = "metrics"
    thread.start()
  }

  deinit {
    // Ends the thread's wait; it uses the descriptor until then.
    shutdown(descriptor, Int32(SHUT_RDWR))
    hasEnded.wait()
    close(descriptor)
  }

  private static func serve(_ descriptor: Int32, page: () -> String) {
    while true {
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, -1) >= 0 || errno == EINTR else { return }
      if waiting.revents & Int16(POLLHUP | POLLERR | POLLNVAL) != 0 { return }
      let peer = accept(descriptor, nil, nil)
      if peer >= 0 {
        _ = fcntl(peer, F_SETFD, FD_CLOEXEC)
        MetricsConnection(descriptor: peer).answer(page: page)
        close(peer)
      } else if errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM {
        // The connection stays in line; without a pause this loop would take a core until there is room.
        usleep(100_000)
      }
    }
  }

  private static func port(of descriptor: Int32) -> UInt16? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { pointer in
      let result = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
      guard result == 0 else { return nil }
      // The port is at the same place in both kinds of address.
      return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt16(bigEndian: $0.pointee.sin_port) }
    }
  }
}

/// One request and its answer, over before a deadline whatever the other side does.
struct MetricsConnection {
  /// Closed by whoever made it; every call here returns at once or when `poll` says.
  let descriptor: Int32
  private let deadline = ContinuousClock.now + .seconds(2)

  init(descriptor: Int32) {
    self.descriptor = descriptor
  }

  func answer(page: () -> String) {
    guard let request = readRequest() else { return }
    send(Array(request.answer(page: page).utf8))
    // Bytes left unread would make the close a reset, which takes the answer from the reader.
    shutdown(descriptor, Int32(SHUT_WR))
    var dropped = 0
    while dropped < 1 << 20, let bytes = receive(), !bytes.isEmpty { dropped += bytes.count }
  }

  /// Nil when the time is up.
  private func readRequest() -> MetricsRequest? {
    var head: [UInt8] = []
    while !MetricsRequest.isComplete(head) {
      guard head.count <= MetricsRequest.largestHead else { return .malformed }
      guard let bytes = receive() else { return nil }
      if bytes.isEmpty { return .malformed }
      head += bytes
    }
    return MetricsRequest(head: head)
  }

  /// Empty at the end of what the peer sends; nil when the time is up or the connection broke.
  private func receive() -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    while wait(for: POLLIN) {
      let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      if count >= 0 { return Array(bytes[..<count]) }
      guard errno == EINTR || errno == EAGAIN else { return nil }
    }
    return nil
  }

  private func send(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty, wait(for: POLLOUT) {
      let count = rest.withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      if count < 0, errno == EINTR || errno == EAGAIN { continue }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  /// False when the time is up.
  private func wait(for events: Int32) -> Bool {
    while true {
      let left = (deadline - ContinuousClock.now) / .milliseconds(1)
      guard left > 0 else { return false }
      var waiting = pollfd(fd: descriptor, events: Int16(events), revents: 0)
      let result = poll(&waiting, 1, Int32(min(left.rounded(.up), 10_000)))
      if result > 0 { return true }
      if result < 0, errno != EINTR { return false }
    }
  }
}

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
    case .malformed: Self.response("400 Bad Request", "not a valid HTTP request\n")
    }
  }

  private static func response(
    _ status: String, type: String = "text/plain; charset=utf-8", extra: String = "", _ body: String
  ) -> String {
    "HTTP/1.0 \(status)\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n\(extra)Connection: close\r\n\r\n\(body)"
  }
}

/// An address that only programs of this machine reach: `127.0.0.1:9100`, `localhost:9100`, `[::1]:9100`; port 0 picks one.
package struct LoopbackAddress: CustomStringConvertible, Sendable {
  let isIPv6: Bool
  /// Most significant byte first; all in 127.0.0.0/8.
  let ipv4: [UInt8]
  let port: UInt16

  /// - Throws: `ValidationError` for any other address: what a server tells of its owners' jobs is for its own machine.
  package init(_ text: String) throws {
    let advice = "--metrics takes a loopback address: 127.0.0.1:PORT, localhost:PORT or [::1]:PORT, not '\(text)'"
    guard let colon = text.lastIndex(of: ":") else { throw ValidationError(advice) }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
      throw ValidationError(advice)
    }
    self.port = port
    let host = String(text[..<colon])
    isIPv6 = host == "[::1]"
    var address = in_addr()
    if host == "localhost" || isIPv6 {
      ipv4 = [127, 0, 0, 1]
    } else if inet_pton(AF_INET, host, &address) == 1 {
      ipv4 = withUnsafeBytes(of: address.s_addr) { Array($0) }
      guard ipv4.first == 127 else { throw ValidationError(advice) }
    } else {
      throw ValidationError(advice)
    }
  }

  private init(isIPv6: Bool, ipv4: [UInt8], port: UInt16) {
    (self.isIPv6, self.ipv4, self.port) = (isIPv6, ipv4, port)
  }

  func with(port: UInt16) -> LoopbackAddress {
    LoopbackAddress(isIPv6: isIPv6, ipv4: ipv4, port: port)
  }

  package var description: String {
    (isIPv6 ? "[::1]" : ipv4.map(String.init).joined(separator: ".")) + ":\(port)"
  }

  /// Gives the address in the form that the socket calls take.
  func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    if isIPv6 {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      address.sin6_addr = in6addr_loopback
      return Self.withPointer(to: &address, body)
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = ipv4.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }.bigEndian
    return Self.withPointer(to: &address, body)
  }

  /// The pointer is valid during `body` only; every kind of socket address begins as `sockaddr` does.
  private static func withPointer<Address, Result>(
    to address: inout Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Address>.size)) }
    }
  }
}
