import CZeroMQ
import Foundation
import Synchronization

/// Answers libzmq's request, once for every new connection, whether its key may connect (ZAP, ZeroMQ RFC 27).
///
/// The list contains keys, so the answer depends on the key that the handshake has proven and on nothing the peer claims. The
/// same thread reads the monitor of the server's socket, for refusals that come before this question.
///
/// The sockets are made by `init` and from then on used by the one thread that it starts, which closes them at its end;
/// starting a thread orders memory. Nothing else here changes. Hence `@unchecked Sendable`.
final class AdmissionHandler: @unchecked Sendable {
  private let requests: ZeroMQSocket
  /// Of the socket that listens, if there is one.
  private let monitor: SocketMonitor?
  private let list: AdmissionList
  private let refusals: RefusalReporter
  private let stopSignal: WakeSignal
  private let hasEnded = DispatchSemaphore(value: 0)

  /// Where libzmq looks for the handler of a context (fixed by RFC 27).
  private static let address = "inproc://zeromq.zap.01"

  /// Starts answering for every socket of the context.
  ///
  /// - Parameter observed: the socket that is going to listen and must not be bound yet.
  init(
    for observed: ZeroMQSocket?, in context: ZeroMQContext, list: AdmissionList, refusals: RefusalReporter
  ) throws(TransportError) {
    self.list = list
    self.refusals = refusals
    stopSignal = try WakeSignal()
    requests = try ZeroMQSocket(ZMQ_REP, in: context)
    try requests.set(ZMQ_LINGER, 0)
    try requests.bind(Self.address)
    monitor = try observed.map { (socket) throws(TransportError) in
      try SocketMonitor(socket, name: "server-connections", in: context)
    }
    let thread = Thread { [self] in run() }
    thread.name = "admission"
    thread.start()
  }

  /// Ends the thread and waits until its sockets are closed. Nobody is admitted from then on. Call once.
  func stop() {
    stopSignal.signal()
    hasEnded.wait()
  }

  private func run() {
    defer {
      requests.close()
      monitor?.socket.close()
      hasEnded.signal()
    }
    // An error here means that the socket or its context is gone. Without a handler nobody new is admitted.
    while !stopSignal.take() {
      do {
        try answerAll()
        let connections = monitor.map { [SocketWait.Source.readable($0.socket)] } ?? []
        try SocketWait.wait(
          for: [.readable(requests), .descriptor(stopSignal.fileDescriptor)] + connections, until: nil)
      } catch {
        return
      }
    }
  }

  private func answerAll() throws(TransportError) {
    while let request = try requests.receive(maximumParts: 16) {
      _ = try requests.send(answer(to: request.parts))
    }
    while let event = try monitor?.next() {
      switch event {
      case .handshakeBrokenOff, .protocolViolated: refusals.report(.handshakeFailed)
      case .acceptFailed(let code): refusals.report(.connectionNotAccepted(code: Int32(truncatingIfNeeded: code)))
      // An admission denied has been reported by `answer`.
      case .accepted, .handshakeSucceeded, .notAdmitted, .disconnected, .notConnected: break
      }
    }
  }

  /// Version, request, domain, address, identity, mechanism, credentials in; version, request, status, text, user,
  /// metadata out.
  private func answer(to request: [Data]) -> [Data] {
    let requestID = request.count > 1 ? request[1] : Data()
    func reply(_ status: String, _ text: String, user: String = "") -> [Data] {
      [Data("1.0".utf8), requestID, Data(status.utf8), Data(text.utf8), Data(user.utf8), Data()]
    }
    guard request.count == 7, request[0] == Data("1.0".utf8) else { return reply("500", "unknown version") }
    let address = String(decoding: request[3], as: UTF8.self)
    guard request[2] == Data(ZeroMQSocket.admissionDomain.utf8), request[5] == Data("CURVE".utf8),
      let publicKey = CurvePublicKey(bytes: request[6])
    else {
      refusals.report(.handshakeFailed, address: address)
      return reply("400", "a CURVE key is required")
    }
    let key = OwnerKey(publicKey)
    guard list.contains(key) else {
      refusals.report(.keyNotListed, key: key, address: address)
      return reply("400", "not listed")
    }
    return reply("200", "listed", user: key.z85)
  }
}

/// The keys served at this moment, the owners' that the operator lists and those of guests whom owners admit; replaceable while connections come and go.
final class AdmissionList: Sendable {
  private let keys: Mutex<(owners: Set<OwnerKey>, guests: Set<OwnerKey>)>

  init(_ owners: Set<OwnerKey>) {
    keys = Mutex((owners, []))
  }

  func replace(with owners: Set<OwnerKey>) {
    keys.withLock { $0.owners = owners }
  }

  func replaceGuests(with guests: Set<OwnerKey>) {
    keys.withLock { $0.guests = guests }
  }

  func contains(_ key: OwnerKey) -> Bool {
    keys.withLock { $0.owners.contains(key) || $0.guests.contains(key) }
  }
}

/// Lets at most a fixed number of events per period through and counts the rest, so that a peer that causes many cannot fill a log.
package struct PeriodAllowance: Sendable {
  private static let period: Duration = .seconds(10)
  private static let allowed = 10

  private var end: ContinuousClock.Instant?
  private var count = 0
  private var suppressed = 0

  package init() {}

  /// Nil for what is held back; otherwise how many were since the last one that was let through.
  package mutating func admit(at now: ContinuousClock.Instant) -> Int? {
    if end.map({ now >= $0 }) ?? true {
      end = now + Self.period
      count = 0
    }
    guard count < Self.allowed else {
      suppressed += 1
      return nil
    }
    count += 1
    defer { suppressed = 0 }
    return suppressed
  }
}
