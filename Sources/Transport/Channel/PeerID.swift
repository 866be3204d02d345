/// One connection of one owner; an owner that reconnects is a new peer with the same key.
package struct PeerID: Hashable, Sendable, CustomStringConvertible {
  /// The name the trainer's side gave the connection; never given twice while the endpoint lives.
  package let routingIdentity: [UInt8]
  /// Proven by the connection's handshake, not claimed by the peer.
  package let ownerKey: OwnerKey

  package init(routingIdentity: [UInt8], ownerKey: OwnerKey) {
    self.routingIdentity = routingIdentity
    self.ownerKey = ownerKey
  }

  /// Enough to tell connections apart in a log.
  package var description: String {
    let number = routingIdentity.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }
    return "\(ownerKey.prefix)#\(number.joined())"
  }
}
