import Foundation
import Glibc
import Synchronization

/// Passes TCP connections on to another port, records what passes, and can fall silent without closing anything, as a
/// network does whose cable is cut.
final class TCPProxy: Sendable {
  let port: UInt16
  private let listener: Int32
  private let target: UInt16
  private let bytesPerSecond: Int?
  private let isSilent = Atomic(false)
  private let isStopped = Atomic(false)
  private let recorded = Mutex<[UInt8]>([])

  /// - Parameter bytesPerSecond: the speed of the link; nil for that of the machine.
  init?(target: UInt16, bytesPerSecond: Int? = nil) {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, size) == 0 && listen(listener, 8) == 0 && getsockname(listener, $0, &size) == 0
      }
    }
    guard result else { return nil }
    self.listener = listener
    self.target = target
    self.bytesPerSecond = bytesPerSecond
    port = UInt16(bigEndian: address.sin_port)
    Thread { [self] in acceptConnections() }.start()
  }

  var endpoint: String { "tcp://127.0.0.1:\(port)" }

  /// Everything that passed, in both directions.
  var bytesSeen: [UInt8] { recorded.withLock { $0 } }

  /// From now on nothing passes, and nothing is closed.
  func fallSilent() {
    isSilent.store(true, ordering: .releasing)
  }

  func speakAgain() {
    isSilent.store(false, ordering: .releasing)
  }

  /// Ends the proxy's threads and connections.
  func stop() {
    isStopped.store(true, ordering: .releasing)
    shutdown(listener, Int32(SHUT_RDWR))
  }

  private func acceptConnections() {
    while !isStopped.load(ordering: .acquiring) {
      let near = accept(listener, nil, nil)
      guard near >= 0 else { break }
      guard let far = RawConnection(port: target) else {
        close(near)
        continue
      }
      let ends = Ends(near: near, far: far)
      Thread { [self] in pass(ends) }.start()
    }
    close(listener)
  }

  /// Used by one thread after another, never by two.
  private final class Ends: @unchecked Sendable {
    let near: Int32
    let far: RawConnection

    init(near: Int32, far: RawConnection) {
      self.near = near
      self.far = far
    }

    deinit {
      close(near)
    }
  }

  private func pass(_ ends: Ends) {
    var buffer = [UInt8](repeating: 0, count: bytesPerSecond == nil ? 65_536 : 8_192)
    while !isStopped.load(ordering: .acquiring) {
      if isSilent.load(ordering: .acquiring) {
        pause(.milliseconds(10))
        continue
      }
      var files = [ends.near, ends.far.file].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      guard poll(&files, 2, 50) >= 0 else { return }
      for (index, other) in [(0, ends.far.file), (1, ends.near)] where files[index].revents != 0 {
        let count = recv(files[index].fd, &buffer, buffer.count, 0)
        guard count > 0 else { return }
        recorded.withLock { $0.append(contentsOf: buffer[..<count]) }
        if let bytesPerSecond { pause(.seconds(count) / bytesPerSecond) }
        guard send(other, buffer, count, Int32(MSG_NOSIGNAL)) == count else { return }
      }
    }
  }
}

/// A plain TCP connection: what somebody without our program can do.
final class RawConnection {
  let file: Int32

  init?(port: UInt16) {
    file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(file, $0, size) }
    }
    guard file >= 0, result == 0 else { return nil }
    var limit = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit {
    close(file)
  }

  /// False when the other side has closed the connection.
  @discardableResult
  func send(_ bytes: [UInt8]) -> Bool {
    Glibc.send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
  }

  /// Whether the other side closes the connection, reading away what it says before, within 5 seconds of silence.
  func isClosedByPeer() -> Bool {
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = recv(file, &buffer, buffer.count, 0)
      if count == 0 || (count < 0 && errno == ECONNRESET) { return true }
      if count < 0 { return false }
    }
  }
}
