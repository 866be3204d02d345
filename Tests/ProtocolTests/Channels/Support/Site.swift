import Foundation
import Synchronization

@testable import Protocol

/// A server that listens on a free port of this machine, and owners for it, with times short enough for tests.
struct Site {
  let serverKeys: CurveKeyPair
  let ownerKeys: [CurveKeyPair]
  let endpoint: ZeroMQServerEndpoint
  let refusals: RefusalLog
  let options: TransportOptions

  /// Generous: a test that waits so long has failed.
  static let patience: Duration = .seconds(60)

  static var quickOptions: TransportOptions {
    var options = TransportOptions()
    options.heartbeatInterval = .milliseconds(250)
    options.heartbeatTimeout = .milliseconds(750)
    options.handshakeTimeout = .seconds(2)
    options.connectTimeout = .seconds(1)
    options.reconnectInterval = .milliseconds(20)
    options.maximumReconnectInterval = .milliseconds(200)
    options.sendTimeout = .seconds(10)
    options.linger = .milliseconds(500)
    return options
  }

  init(owners: Int = 1, awaitsGuests: Bool = false, options: TransportOptions = quickOptions) throws {
    serverKeys = try CurveKeyPair.generate()
    ownerKeys = try (0..<owners).map { _ in try CurveKeyPair.generate() }
    let refusals = RefusalLog()
    endpoint = try ZeroMQServerEndpoint(
      bind: "tcp://127.0.0.1:0", keys: serverKeys, authorized: AuthorizedKeys(Set(ownerKeys.map(\.ownerKey))),
      awaitsGuests: awaitsGuests, options: options, onRefusal: { refusals.append($0) })
    self.refusals = refusals
    self.options = options
  }

  var port: UInt16 { UInt16(endpoint.boundEndpoint.split(separator: ":").last ?? "") ?? 0 }

  func owner(
    _ number: Int = 0, at address: String? = nil, options: TransportOptions? = nil
  ) throws -> ZeroMQOwnerChannel {
    try ZeroMQOwnerChannel(
      endpoint: address ?? endpoint.boundEndpoint, ownerKeys: ownerKeys[number], serverKey: serverKeys.publicKey,
      options: options ?? self.options)
  }
}

extension Site {
  /// For a key of its own.
  func channel(_ keys: CurveKeyPair) throws -> ZeroMQOwnerChannel {
    try ZeroMQOwnerChannel(
      endpoint: endpoint.boundEndpoint, ownerKeys: keys, serverKey: serverKeys.publicKey, options: options)
  }
}

/// An owner that listens on a free port of this machine, and servers that connect to it.
struct ReverseSite {
  let serverKeys: CurveKeyPair
  let ownerKeys: CurveKeyPair
  let owner: ZeroMQOwnerChannel
  let refusals = RefusalLog()
  let options: TransportOptions

  init(listen endpoint: String = "tcp://127.0.0.1:0", sendTimeout: Duration = Site.quickOptions.sendTimeout) throws {
    var options = Site.quickOptions
    options.sendTimeout = sendTimeout
    self.options = options
    serverKeys = try CurveKeyPair.generate()
    ownerKeys = try CurveKeyPair.generate()
    owner = try ZeroMQOwnerChannel(
      listen: endpoint, ownerKeys: ownerKeys, serverKey: serverKeys.publicKey, options: options)
  }

  var address: String { owner.listeningEndpoint ?? "" }
  var port: UInt16 { UInt16(address.split(separator: ":").last ?? "") ?? 0 }

  func server(
    keys: CurveKeyPair? = nil, listed: Set<OwnerKey>? = nil, bind: String? = nil, at addresses: [String]? = nil
  ) throws -> ZeroMQServerEndpoint {
    let refusals = refusals
    return try ZeroMQServerEndpoint(
      bind: bind, connect: addresses ?? [address], keys: keys ?? serverKeys,
      authorized: AuthorizedKeys(listed ?? [ownerKeys.ownerKey]), options: options,
      onRefusal: { refusals.append($0) })
  }

  /// A server's end is only at work while it receives.
  func exchange(
    _ question: Message, with server: ZeroMQServerEndpoint, from owner: ZeroMQOwnerChannel? = nil
  ) throws -> IncomingMessage? {
    let owner = owner ?? self.owner
    let end = ContinuousClock.now + Site.patience
    while !owner.isConnected, ContinuousClock.now < end {
      _ = try? owner.receive(timeout: .milliseconds(10))
      _ = try server.receive(timeout: .milliseconds(10))
    }
    try owner.send(question)
    while ContinuousClock.now < end {
      if let incoming = try server.receive(timeout: .milliseconds(200)) { return incoming }
    }
    return nil
  }
}

/// Collects what a server's end reports.
final class RefusalLog: Sendable {
  private let entries = Mutex<[Refusal]>([])

  func append(_ refusal: Refusal) {
    entries.withLock { $0.append(refusal) }
  }

  var all: [Refusal] { entries.withLock { $0 } }

  /// Waits for a refusal for that reason, since some are reported on another thread.
  func waitFor(_ reason: Refusal.Reason) -> Refusal? {
    let end = ContinuousClock.now + Site.patience
    while ContinuousClock.now < end {
      if let refusal = all.first(where: { $0.reason == reason }) { return refusal }
      pause(.milliseconds(5))
    }
    return nil
  }
}

/// Blocks the calling thread.
func pause(_ duration: Duration) {
  Thread.sleep(forTimeInterval: duration.seconds)
}

/// The error a call throws, or nil.
func failure<Result>(of call: () throws -> Result) -> TransportError? {
  do {
    _ = try call()
    return nil
  } catch {
    return error as? TransportError
  }
}

/// The first error `receive` throws, however many empty waits come before it.
func nextFailure(_ channel: some OwnerChannel) -> TransportError? {
  let end = ContinuousClock.now + Site.patience
  while ContinuousClock.now < end {
    if let error = failure(of: { try channel.receive(timeout: .seconds(1)) }) { return error }
  }
  return nil
}

func text(_ string: String) -> Message {
  [Data(string.utf8)]
}

/// Bytes that differ from place to place, so that a shift or a cut shows.
func pattern(_ count: Int) -> Data {
  var data = Data(count: count)
  data.withUnsafeMutableBytes { bytes in
    for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8) }
  }
  return data
}
