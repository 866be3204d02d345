import Foundation
import Testing

/// A TCP connection to a port of this machine, to say anything at all over it.
final class PlainConnection {
  private let descriptor: Int32

  struct NotConnected: Error {}

  init(port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let isConnected = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
    guard isConnected else { throw NotConnected() }
    // Generous: an answer that takes so long has failed.
    var timeout = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit {
    close(descriptor)
  }

  /// Whether all of it was taken.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  func endSending() {
    shutdown(descriptor, Int32(SHUT_WR))
  }

  /// Everything up to the end of the connection.
  func receiveAll() -> String {
    var bytes: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(descriptor, &part, part.count, 0)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += part[..<count]
    }
  }

  static func exchange(port: UInt16, _ request: String) throws -> String {
    let connection = try PlainConnection(port: port)
    connection.send(Array(request.utf8))
    return connection.receiveAll()
  }
}

/// A server of another kind: it says something that is not ZeroMQ to whoever connects, and hangs up.
final class Listener {
  let endpoint: String
  private let descriptor: Int32

  init() throws {
    endpoint = Site.unusedEndpoint()
    let port = try #require(UInt16(endpoint.split(separator: ":").last ?? ""))
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    self.descriptor = descriptor
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let isBound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
    try #require(isBound && listen(descriptor, 8) == 0)
    Thread {
      while true {
        let peer = accept(descriptor, nil, nil)
        guard peer >= 0 else { return }
        let text = Array("220 mail.example.org ESMTP ready, please say HELO before anything else\r\n".utf8)
        _ = send(peer, text, text.count, Int32(MSG_NOSIGNAL))
        close(peer)
      }
    }.start()
  }

  deinit {
    // Ends the thread's `accept`.
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }
}
