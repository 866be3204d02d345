import Foundation

@testable import Protocol

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
