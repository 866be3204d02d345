import CZeroMQ
import Dispatch
import Foundation
import Glibc

/// The connections a server makes to one owner that listens, one after another.
///
/// It is the server of CURVE on them too, as on those it accepts: its admission handler decides on the owner's key.
final class OwnerDial {
  let endpoint: String
  private let number: UInt32
  private let attempts: SocketAttempts
  private let refusals: RefusalReporter
  private var isEstablished = false
  /// The connection has ended; what had arrived over it is still to be read.
  private var hasEnded = false
  /// Reported once for all attempts that fail in a row.
  private var isFailureTold = false

  /// An owner whose handshake fails is tried as rarely as one that does not answer.
  private static let slowing = 8

  /// - Parameter number: different for each owner of an endpoint.
  init(
    endpoint: String, number: UInt32, keys: CurveKeyPair, options: TransportOptions, refusals: RefusalReporter,
    in context: ZeroMQContext
  ) throws(TransportError) {
    self.endpoint = endpoint
    self.number = number
    self.refusals = refusals
    attempts = try SocketAttempts(endpoint: endpoint, options: options) { (attempt) throws(TransportError) in
      let socket = try ZeroMQSocket(ZMQ_DEALER, in: context)
      try socket.configure(options, endpoint: endpoint)
      try socket.configureServer(keys: keys)
      try socket.configureReading(options)
      try socket.configureAttempt(options)
      return (socket, try SocketMonitor(socket, name: "server-connection-\(number)-\(attempt)", in: context))
    }
  }

  /// The name of the present connection; libzmq's own start with 0 and are 5 bytes.
  var identity: [UInt8] {
    [1] + withUnsafeBytes(of: number.bigEndian, Array.init) + withUnsafeBytes(of: attempts.count.bigEndian, Array.init)
  }

  var sources: [SocketWait.Source] {
    [attempts.socket.map { .readable($0) }, attempts.monitor.map { .readable($0.socket) }].compactMap(\.self)
  }

  /// When to look again, whatever the sources say.
  var nextAttempt: Deadline? { attempts.nextAttempt }

  /// The next message that has arrived; also makes the attempts that are due.
  func receive(maximumParts: Int) throws(TransportError) -> ReceivedMessage? {
    try attempts.openIfDue()
    if let message = try attempts.socket?.receive(maximumParts: maximumParts) { return message }
    try noteEvents()
    guard hasEnded else { return nil }
    // What had arrived before the connection ended is still delivered.
    if let message = try attempts.socket?.receive(maximumParts: maximumParts) { return message }
    discard()
    return nil
  }

  /// False when the message is lost.
  func send(_ parts: [Data]) throws(TransportError) -> Bool {
    guard isEstablished, !hasEnded, let socket = attempts.socket else { return false }
    return try socket.send(parts) == .sent
  }

  /// Sends this message as the last one of the present connection and ends it; the next connection needs a new admission.
  func turnAway(_ parts: [Data]) throws(TransportError) {
    guard try send(parts) else { return }
    discard(slowing: Self.slowing, lingering: true)
  }

  private func discard(slowing: Int = 1, lingering: Bool = false) {
    attempts.discard(slowing: slowing, lingering: lingering)
    isEstablished = false
    hasEnded = false
  }

  func close() {
    attempts.close()
  }

  private func noteEvents() throws(TransportError) {
    while let event = try attempts.monitor?.next() {
      switch event {
      case .handshakeSucceeded:
        isEstablished = true
        isFailureTold = false
        attempts.succeeded()
        // The owner cannot know otherwise that this connection is one of a server.
        _ = try attempts.socket?.send(MessageEnvelope.serverArrived)
      case .disconnected where isEstablished:
        hasEnded = true
      // The handler has reported whose connection it was.
      case .notAdmitted:
        discard(slowing: Self.slowing)
      case .protocolViolated where !isEstablished, .handshakeBrokenOff where !isEstablished:
        if !isFailureTold { refusals.report(.handshakeFailed, address: host) }
        isFailureTold = true
        discard(slowing: Self.slowing)
      case .notConnected where !isEstablished:
        discard()
      case .accepted, .notConnected, .protocolViolated, .handshakeBrokenOff, .disconnected, .acceptFailed:
        break
      }
    }
  }

  private var host: String { EndpointAddress.host(of: endpoint) }
}

/// Checks addresses before libzmq sees them: encrypted TCP is the only transport offered.
enum EndpointAddress {
  /// - Parameter anyPort: whether port 0 (the system chooses) is allowed.
  /// - Throws: `.invalidEndpoint` unless the text is `tcp://HOST:PORT`.
  static func check(_ text: String, anyPort: Bool) throws(TransportError) {
    let scheme = "tcp://"
    let rest = text.dropFirst(scheme.count)
    guard text.hasPrefix(scheme), let colon = rest.lastIndex(of: ":"), colon != rest.startIndex,
      rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
      rest[rest.index(after: colon)...].allSatisfy(\.isNumber),
      let port = UInt16(rest[rest.index(after: colon)...]), port > 0 || anyPort
    else { throw .invalidEndpoint(text) }
  }

  /// The host of a checked address, which holds colons itself when it is one of IPv6.
  static func host(of endpoint: String) -> String {
    let rest = endpoint.dropFirst("tcp://".count)
    return String(rest.lastIndex(of: ":").map { rest[..<$0] } ?? rest)
  }
}

/// Asks once whether the name in an address is known: libzmq tries an unknown one for ever, without an error.
package enum HostLookup {
  /// Returns at once.
  ///
  /// - Parameters:
  ///   - endpoint: `tcp://HOST:PORT`.
  ///   - onUnknown: called on another thread, with what to tell a person, when the name is not known; it may be later.
  package static func check(_ endpoint: String, onUnknown: @escaping @Sendable (String) -> Void) {
    let host = EndpointAddress.host(of: endpoint).filter { $0 != "[" && $0 != "]" }
    DispatchQueue.global(qos: .utility).async {
      var addresses: UnsafeMutablePointer<addrinfo>?
      let code = getaddrinfo(host, nil, nil, &addresses)
      if let addresses { freeaddrinfo(addresses) }
      guard code != 0 else { return }
      onUnknown("the host name '\(host)' is not known here (\(String(cString: gai_strerror(code))))")
    }
  }
}
