import OwnerSession
import Transport

/// Where an owner and its trainer meet: at the trainer's address, or at one of the owner's own.
struct TrainerPlace {
  let channel: any OwnerChannel
  /// The trainer, as errors name it.
  let peer: String

  /// - Parameters:
  ///   - endpoint: the trainer's address.
  ///   - listen: the owner's own address, which then counts instead.
  /// - Throws: `TransportError` of kind `.usage` for an address that is none or is in use.
  init(endpoint: String, listen: String?, ownerKeys: CurveKeyPair, trainerKey: CurvePublicKey) throws {
    guard let listen else {
      channel = try ZeroMQOwnerChannel(endpoint: endpoint, ownerKeys: ownerKeys, trainerKey: trainerKey)
      peer = "the trainer at \(endpoint)"
      return
    }
    let channel = try ZeroMQOwnerChannel(listen: listen, ownerKeys: ownerKeys, trainerKey: trainerKey)
    self.channel = channel
    let bound = channel.listeningEndpoint ?? listen
    peer = "a trainer that connects to \(bound)"
    StandardError.write("listening \(bound)\n")
  }
}
