import Foundations

/// Owners and a server in one process, with what ZeroMQ would do to them: several owners, bounded queues, lost
/// connections that lose what is under way, and a server that goes and comes back.
///
/// All state is touched only while `condition` is locked; hence `@unchecked Sendable`.
package final class InProcessNetwork: @unchecked Sendable {
  private let options: TransportOptions
  private let condition = MonotonicCondition()
  private var links: [Int: InProcessLink] = [:]
  private var linksMade = 0
  private var connectionsMade: UInt64 = 0
  private var endpointsMade = 0
  /// The endpoint in use; nil while there is no server.
  private var endpoint: Int?
  private var isServerWoken = false
  private var toServer: [(link: Int, message: IncomingMessage)] = []
  private var fault: (@Sendable (Transit) -> [Message])?

  package init(options: TransportOptions = .init()) {
    self.options = options
  }

  /// A server's end. One made before is closed by it, as by a restart on the same port.
  package func makeServerEndpoint() -> InProcessServerEndpoint {
    locked {
      loseConnections { _ in true }
      endpointsMade += 1
      endpoint = endpointsMade
      isServerWoken = false
      return InProcessServerEndpoint(network: self, number: endpointsMade)
    }
  }

  /// An owner's end, whether or not there is a server yet. The same key may connect more than once.
  package func connect(_ ownerKey: OwnerKey) -> InProcessOwnerChannel {
    locked {
      linksMade += 1
      links[linksMade] = InProcessLink(ownerKey: ownerKey)
      return InProcessOwnerChannel(network: self, number: linksMade)
    }
  }

  /// Breaks the connections of one owner, or of all: what is under way is lost, the owner is told `.peerGone` once, and
  /// then connects again as a new peer.
  package func disconnect(_ ownerKey: OwnerKey? = nil) {
    locked { loseConnections { ownerKey == nil || $0.ownerKey == ownerKey } }
  }

  /// From now on every message sent is replaced by those `fault` returns: none drops it, two duplicate it, others alter
  /// it; one held back and returned later is reordered. The hook must not use the network itself. Nil ends that.
  package func setFault(_ fault: (@Sendable (Transit) -> [Message])?) {
    locked { self.fault = fault }
  }

  // MARK: The owner's side

  func isConnected(link number: Int) -> Bool {
    locked { links[number]?.connection != nil }
  }

  func send(_ message: Message, from number: Int) throws(TransportError) {
    try options.check(message)
    let end = ContinuousClock.now + options.sendTimeout
    condition.lock()
    defer { condition.unlock() }
    while true {
      let link = try openLink(number)
      let waiting = toServer.count { $0.link == number }
      if let connection = link.connection, waiting < options.receiveQueueMessages {
        let peer = PeerID(connection: connection, ownerKey: link.ownerKey)
        for message in delivered(message, .toServer, link.ownerKey) {
          toServer.append((number, IncomingMessage(peer: peer, frames: message)))
        }
        condition.broadcast()
        return
      }
      guard condition.wait(for: end - .now) else { throw .unreachable(peer: "the server in this process") }
    }
  }

  func receive(link number: Int, timeout: Duration) throws(TransportError) -> Message? {
    let end = ContinuousClock.now + timeout
    condition.lock()
    defer { condition.unlock() }
    while true {
      let link = try openLink(number)
      if link.isWoken {
        links[number]?.isWoken = false
        return nil
      }
      if !link.toOwner.isEmpty { return links[number]?.toOwner.removeFirst() }
      guard condition.wait(for: end - .now) else { return nil }
    }
  }

  func wake(link number: Int) {
    locked { links[number]?.isWoken = true }
  }

  func close(link number: Int) {
    locked {
      links[number]?.isClosed = true
      links[number]?.connection = nil
      links[number]?.toOwner = []
    }
  }

  // MARK: The server's side

  func receive(endpoint number: Int, timeout: Duration) throws(TransportError) -> IncomingMessage? {
    let end = ContinuousClock.now + timeout
    condition.lock()
    defer { condition.unlock() }
    while true {
      guard endpoint == number else { throw .closed }
      if isServerWoken {
        isServerWoken = false
        return nil
      }
      if !toServer.isEmpty {
        condition.broadcast()
        return toServer.removeFirst().message
      }
      guard condition.wait(for: end - .now) else { return nil }
    }
  }

  func send(_ message: Message, to peer: PeerID, endpoint number: Int) throws(TransportError) {
    try options.check(message)
    condition.lock()
    defer { condition.unlock() }
    guard endpoint == number else { throw .closed }
    guard let (number, link) = link(of: peer), link.toOwner.count < options.sendQueueMessages else {
      throw .unreachable(peer: "the owner \(peer)")
    }
    links[number]?.toOwner += delivered(message, .toOwner, link.ownerKey)
    condition.broadcast()
  }

  func unreadBytes(of peer: PeerID) -> Int {
    locked { link(of: peer)?.link.toOwner.reduce(0) { $0 + $1.reduce(0) { $0 + $1.count } } ?? 0 }
  }

  func wake(endpoint number: Int) {
    locked { if endpoint == number { isServerWoken = true } }
  }

  func close(endpoint number: Int) {
    locked {
      guard endpoint == number else { return }
      loseConnections { _ in true }
      endpoint = nil
    }
  }

  // MARK: With the lock held

  private func locked<Result>(_ body: () -> Result) -> Result {
    condition.lock()
    defer { condition.unlock() }
    let result = body()
    condition.broadcast()
    return result
  }

  private func link(of peer: PeerID) -> (number: Int, link: InProcessLink)? {
    links.first { _, link in
      link.connection.map { PeerID(connection: $0, ownerKey: link.ownerKey) } == peer
    }.map { ($0.key, $0.value) }
  }

  /// The link, connected if there is a server.
  private func openLink(_ number: Int) throws(TransportError) -> InProcessLink {
    guard var link = links[number], !link.isClosed else { throw .closed }
    if link.lossPending {
      links[number]?.lossPending = false
      throw .peerGone(endpoint: "the server in this process")
    }
    if link.connection == nil, endpoint != nil {
      connectionsMade += 1
      link.connection = connectionsMade
      links[number] = link
    }
    return link
  }

  private func loseConnections(where isAffected: (InProcessLink) -> Bool) {
    for (number, link) in links where link.connection != nil && isAffected(link) {
      links[number]?.connection = nil
      links[number]?.lossPending = true
      links[number]?.toOwner = []
      toServer.removeAll { $0.link == number }
    }
  }

  private func delivered(_ message: Message, _ direction: Transit.Direction, _ key: OwnerKey) -> [Message] {
    fault?(Transit(direction: direction, ownerKey: key, message: message)) ?? [message]
  }
}

/// One owner's connections to the server, one after another.
struct InProcessLink {
  let ownerKey: OwnerKey
  /// The connection in use; nil while there is none.
  var connection: UInt64?
  /// Whether a connection was lost and the owner has not been told.
  var lossPending = false
  var isClosed = false
  var isWoken = false
  var toOwner: [Message] = []
}

/// The owner's end of an `InProcessNetwork`.
package final class InProcessOwnerChannel: OwnerChannel {
  private let network: InProcessNetwork
  private let number: Int

  init(network: InProcessNetwork, number: Int) {
    self.network = network
    self.number = number
  }

  package var isConnected: Bool { network.isConnected(link: number) }

  package func send(_ message: Message) throws(TransportError) {
    try network.send(message, from: number)
  }

  package func receive(timeout: Duration) throws(TransportError) -> Message? {
    try network.receive(link: number, timeout: timeout)
  }

  package func wake() {
    network.wake(link: number)
  }

  package func close() {
    network.close(link: number)
  }
}

/// The server's end of an `InProcessNetwork`.
package final class InProcessServerEndpoint: ServerEndpoint {
  private let network: InProcessNetwork
  private let number: Int

  init(network: InProcessNetwork, number: Int) {
    self.network = network
    self.number = number
  }

  package func receive(timeout: Duration) throws(TransportError) -> IncomingMessage? {
    try network.receive(endpoint: number, timeout: timeout)
  }

  package func send(_ message: Message, to peer: PeerID) throws(TransportError) {
    try network.send(message, to: peer, endpoint: number)
  }

  package func unreadBytes(of peer: PeerID) -> Int? {
    network.unreadBytes(of: peer)
  }

  package func wake() {
    network.wake(endpoint: number)
  }

  package func close() {
    network.close(endpoint: number)
  }
}

extension PeerID {
  /// The peer an in-process connection appears as.
  init(connection: UInt64, ownerKey: OwnerKey) {
    self.init(routingIdentity: withUnsafeBytes(of: connection.bigEndian) { Array($0) }, ownerKey: ownerKey)
  }
}

/// A message on its way through an `InProcessNetwork`, for a test's fault hook.
package struct Transit: Sendable {
  package enum Direction: Sendable {
    case toServer
    case toOwner
  }

  package let direction: Direction
  /// The owner at the one end; the server is at the other.
  package let ownerKey: OwnerKey
  package let message: Message

  package init(direction: Direction, ownerKey: OwnerKey, message: Message) {
    self.direction = direction
    self.ownerKey = ownerKey
    self.message = message
  }
}
