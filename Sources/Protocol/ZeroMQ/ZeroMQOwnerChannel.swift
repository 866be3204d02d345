import Synchronization

/// The owner's end over TCP with CURVE, which pins the server's key.
package final class ZeroMQOwnerChannel: OwnerChannel {
  private let options: TransportOptions
  private let wakeSignal: WakeSignal
  /// Nil after `close`. The lock is also the memory fence libzmq asks for when a socket changes threads.
  private let connection: Mutex<(any OwnerLink)?>
  /// Where servers are awaited, with the port the system chose for port 0; nil when this side connects.
  package let listeningEndpoint: String?
  private let unknownHost = Mutex<String?>(nil)

  /// Begins to connect; whether that succeeds shows in the calls that follow.
  ///
  /// - Parameter endpoint: `tcp://HOST:PORT`.
  /// - Throws: `.invalidEndpoint`, `.system`.
  package init(
    endpoint: String, ownerKeys: CurveKeyPair, serverKey: CurvePublicKey, options: TransportOptions = .init()
  ) throws(TransportError) {
    self.options = options
    wakeSignal = try WakeSignal()
    listeningEndpoint = nil
    connection = Mutex(
      try OwnerConnection(endpoint: endpoint, ownerKeys: ownerKeys, serverKey: serverKey, options: options))
    HostLookup.check(endpoint) { [weak self] problem in self?.unknownHost.withLock { $0 = problem } }
  }

  /// Listens for a server that connects; one that does not hold the pinned key is refused.
  ///
  /// - Parameter endpoint: `tcp://HOST:PORT`, `tcp://0.0.0.0:PORT` for all IPv4 interfaces; port 0 lets the system choose.
  /// - Throws: `.invalidEndpoint`, `.cannotBind`, `.system`.
  package init(
    listen endpoint: String, ownerKeys: CurveKeyPair, serverKey: CurvePublicKey, options: TransportOptions = .init()
  ) throws(TransportError) {
    self.options = options
    wakeSignal = try WakeSignal()
    let link = try ListeningOwnerConnection(
      listen: endpoint, ownerKeys: ownerKeys, serverKey: serverKey, options: options)
    listeningEndpoint = link.boundEndpoint
    connection = Mutex(link)
  }

  package var isConnected: Bool {
    (try? withConnection { (connection) throws(TransportError) in try connection.isEstablishedNow() }) ?? false
  }

  package var isHandshaking: Bool {
    (try? withConnection { (connection) throws(TransportError) in connection.isHandshaking }) ?? false
  }

  package var isListening: Bool { listeningEndpoint != nil }

  package var addressProblem: String? { unknownHost.withLock(\.self) }

  package func send(_ message: Message) throws(TransportError) {
    try options.check(message)
    try withConnection { (connection) throws(TransportError) in try connection.send(message) }
  }

  package func receive(timeout: Duration) throws(TransportError) -> Message? {
    try withConnection { (connection) throws(TransportError) in
      try connection.receive(timeout: timeout, wakeSignal: wakeSignal)
    }
  }

  package func wake() {
    wakeSignal.signal()
  }

  package func close() {
    wake()
    connection.withLock { $0 = nil }
  }

  private func withConnection<Result: Sendable>(
    _ body: (any OwnerLink) throws(TransportError) -> Result
  ) throws(TransportError) -> Result {
    let result = try connection.withLockIfAvailable { (connection) throws(TransportError) -> Result in
      guard let connection else { throw .closed }
      return try body(connection)
    }
    guard let result else { throw .concurrentUse }
    return result
  }
}
