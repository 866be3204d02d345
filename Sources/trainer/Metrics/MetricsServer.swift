import Dispatch
import Failures
import Foundation

/// Answers `GET /metrics` over HTTP/1.0 on a loopback port: one connection after the other on a thread of its own, each for
/// two seconds at most and a head of `MetricsRequest.largestHead` bytes.
final class MetricsServer {
  /// With the port the system chose for port 0.
  let address: LoopbackAddress
  private let descriptor: Int32
  private let hasEnded = DispatchSemaphore(value: 0)

  struct CannotListen: Failure {
    let address: LoopbackAddress
    let code: Int32

    var kind: FailureKind { code == EACCES ? .keyOrPermission : .usage }
    var description: String {
      "cannot serve metrics at \(address): \(String(cString: strerror(code))); choose another port with --metrics, or 0 for any"
    }
  }

  /// Listens at once.
  ///
  /// - Parameter page: called on the server's thread for each request.
  /// - Throws: `CannotListen`.
  init(at wanted: LoopbackAddress, page: @escaping @Sendable () -> String) throws {
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
