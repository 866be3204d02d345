import Foundation

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
