import Foundation

@testable import Protocol

/// A server that listens on a free port of this machine, and owners for it, with times short enough for tests.
struct Site {
  let serverKeys: CurveKeyPair
  let ownerKeys: [CurveKeyPair]
  let endpoint: ZeroMQServerEndpoint
  let refusals: RefusalLog
  let options: TransportOptions

  /// Generous: a test that waits so long has failed.
  static let patience: Duration = .seconds(20)

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

  init(owners: Int = 1, options: TransportOptions = quickOptions) throws {
    serverKeys = try CurveKeyPair.generate()
    ownerKeys = try (0..<owners).map { _ in try CurveKeyPair.generate() }
    let refusals = RefusalLog()
    endpoint = try ZeroMQServerEndpoint(
      bind: "tcp://127.0.0.1:0", keys: serverKeys, authorized: AuthorizedKeys(Set(ownerKeys.map(\.ownerKey))),
      options: options, onRefusal: { refusals.append($0) })
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
