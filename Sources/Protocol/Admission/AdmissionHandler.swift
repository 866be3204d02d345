import CZeroMQ
import Foundation

/// Answers libzmq's request, once for every new connection, whether its key may connect (ZAP, ZeroMQ RFC 27).
///
/// The list contains keys, so the answer depends on the key that the handshake has proven and on nothing the peer claims. While the guests are not
/// known yet, as at a host that still reads its deployments, the request of a key that is not listed waits: a refusal would be final for its
/// client. The same thread reads the monitor of the server's socket, for refusals that come before this question.
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
  private let listSignal: WakeSignal
  private let hasEnded = DispatchSemaphore(value: 0)
  /// How long libzmq waits for an answer, after which the client connects anew.
  private let handshakeTimeout: Duration

  /// Where libzmq looks for the handler of a context (fixed by RFC 27).
  private static let address = "inproc://zeromq.zap.01"
  /// Requests that may wait. Anybody can make one; those beyond come again.
  static let mostWaiting = 256

  /// Starts answering for every socket of the context.
  ///
  /// - Parameters:
  ///   - observed: the socket that is going to listen and must not be bound yet.
  ///   - handshakeTimeout: of the sockets.
  init(
    for observed: ZeroMQSocket?, in context: ZeroMQContext, list: AdmissionList, refusals: RefusalReporter,
    handshakeTimeout: Duration
  ) throws(TransportError) {
    self.list = list
    self.refusals = refusals
    self.handshakeTimeout = handshakeTimeout
    stopSignal = try WakeSignal()
    listSignal = try WakeSignal()
    // Not REP, which takes the next request only after its answer to the one before.
    requests = try ZeroMQSocket(ZMQ_ROUTER, in: context)
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

  /// Has the requests that wait looked at again: the list has changed.
  func listChanged() {
    listSignal.signal()
  }

  private func run() {
    defer {
      requests.close()
      monitor?.socket.close()
      hasEnded.signal()
    }
    var waiting: [WaitingRequest] = []
    // An error here means that the socket or its context is gone. Without a handler nobody new is admitted.
    while !stopSignal.take() {
      do {
        try answerAll(&waiting)
        let connections = monitor.map { [SocketWait.Source.readable($0.socket)] } ?? []
        let signals = [stopSignal, listSignal].map { SocketWait.Source.descriptor($0.fileDescriptor) }
        try SocketWait.wait(for: [.readable(requests)] + signals + connections, until: waiting.first?.deadline)
      } catch {
        return
      }
    }
  }

  /// A request that cannot be decided yet.
  private struct WaitingRequest {
    let request: AdmissionRequest
    let deadline: Deadline
  }

  /// - Parameter waiting: in order of arrival.
  private func answerAll(_ waiting: inout [WaitingRequest]) throws(TransportError) {
    // Before the list is looked at: a change while it is comes back here.
    _ = listSignal.take()
    var undecided: [WaitingRequest] = []
    for entry in waiting {
      if entry.deadline.hasPassed {
        try send(.comeAgain, to: entry.request)
      } else if let answer = answer(to: entry.request) {
        try send(answer, to: entry.request)
      } else {
        undecided.append(entry)
      }
    }
    waiting = undecided
    while let message = try requests.receive(maximumParts: 16) {
      guard let request = AdmissionRequest(message.parts) else { continue }
      if let answer = answer(to: request) {
        try send(answer, to: request)
      } else if waiting.count < Self.mostWaiting {
        waiting.append(WaitingRequest(request: request, deadline: Deadline(after: handshakeTimeout)))
      } else {
        try send(.comeAgain, to: request)
      }
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

  /// One whose connection has ended meanwhile is dropped by libzmq.
  private func send(_ answer: AdmissionAnswer, to request: AdmissionRequest) throws(TransportError) {
    _ = try requests.send(request.reply(answer))
  }

  /// Nil while it cannot be told.
  private func answer(to request: AdmissionRequest) -> AdmissionAnswer? {
    guard let fields = request.fields else { return .unknownVersion }
    guard fields.domain == Data(ZeroMQSocket.admissionDomain.utf8), fields.mechanism == Data("CURVE".utf8),
      let publicKey = CurvePublicKey(bytes: fields.credentials)
    else {
      refusals.report(.handshakeFailed, address: fields.address)
      return .keyRequired
    }
    let key = OwnerKey(publicKey)
    switch list.standing(of: key) {
    case .served: return .listed(key)
    case .unknownYet: return nil
    case .notServed:
      refusals.report(.keyNotListed, key: key, address: fields.address)
      return .notListed
    }
  }
}

/// What libzmq asks: where its answer goes, an empty part, then version, request, domain, address, identity, mechanism, credentials.
private struct AdmissionRequest {
  struct Fields {
    let domain: Data
    let address: String
    let mechanism: Data
    let credentials: Data
  }

  private let place: Data
  private let id: Data
  /// Nil for a request of another version.
  let fields: Fields?

  /// Nil for a message that has no place for an answer.
  init?(_ parts: [Data]) {
    guard parts.count >= 2, parts[1].isEmpty else { return nil }
    place = parts[0]
    let request = parts[2...]
    id = request.count > 1 ? parts[3] : Data()
    guard request.count == 7, parts[2] == Data("1.0".utf8) else {
      fields = nil
      return
    }
    fields = Fields(
      domain: parts[4], address: String(decoding: parts[5], as: UTF8.self), mechanism: parts[7], credentials: parts[8])
  }

  /// Version, request, status, text, user, metadata.
  func reply(_ answer: AdmissionAnswer) -> [Data] {
    let (status, text, user) = answer.fields
    return [place, Data(), Data("1.0".utf8), id, Data(status.utf8), Data(text.utf8), Data(user.utf8), Data()]
  }
}

private enum AdmissionAnswer {
  case listed(OwnerKey)
  case notListed
  case keyRequired
  case unknownVersion
  /// Ends the connection without a refusal, after which the client connects anew.
  case comeAgain

  var fields: (status: String, text: String, user: String) {
    switch self {
    case .listed(let key): ("200", "listed", key.z85)
    case .comeAgain: ("300", "not known yet", "")
    case .notListed: ("400", "not listed", "")
    case .keyRequired: ("400", "a CURVE key is required", "")
    case .unknownVersion: ("500", "unknown version", "")
    }
  }
}
