import Foundation

@testable import Protocol

/// An owner that listens on a free port of this machine, and trainers that connect to it.
struct ReverseSite {
  let trainerKeys: CurveKeyPair
  let ownerKeys: CurveKeyPair
  let owner: ZeroMQOwnerChannel
  let refusals = RefusalLog()
  let options: TransportOptions

  init(listen endpoint: String = "tcp://127.0.0.1:0", sendTimeout: Duration = Site.quickOptions.sendTimeout) throws {
    var options = Site.quickOptions
    options.sendTimeout = sendTimeout
    self.options = options
    trainerKeys = try CurveKeyPair.generate()
    ownerKeys = try CurveKeyPair.generate()
    owner = try ZeroMQOwnerChannel(
      listen: endpoint, ownerKeys: ownerKeys, trainerKey: trainerKeys.publicKey, options: options)
  }

  var address: String { owner.listeningEndpoint ?? "" }
  var port: UInt16 { UInt16(address.split(separator: ":").last ?? "") ?? 0 }

  func trainer(
    keys: CurveKeyPair? = nil, listed: Set<OwnerKey>? = nil, bind: String? = nil, at addresses: [String]? = nil
  ) throws -> ZeroMQTrainerEndpoint {
    let refusals = refusals
    return try ZeroMQTrainerEndpoint(
      bind: bind, connect: addresses ?? [address], keys: keys ?? trainerKeys,
      authorized: AuthorizedKeys(listed ?? [ownerKeys.ownerKey]), options: options,
      onRefusal: { refusals.append($0) })
  }

  /// A trainer's end is only at work while it receives.
  func exchange(
    _ question: Message, with trainer: ZeroMQTrainerEndpoint, from owner: ZeroMQOwnerChannel? = nil
  ) throws -> IncomingMessage? {
    let owner = owner ?? self.owner
    let end = ContinuousClock.now + Site.patience
    while !owner.isConnected, ContinuousClock.now < end {
      _ = try? owner.receive(timeout: .milliseconds(10))
      _ = try trainer.receive(timeout: .milliseconds(10))
    }
    try owner.send(question)
    while ContinuousClock.now < end {
      if let incoming = try trainer.receive(timeout: .milliseconds(200)) { return incoming }
    }
    return nil
  }
}
