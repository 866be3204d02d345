extension PeerID {
  /// The peer an in-process connection appears as.
  init(connection: UInt64, ownerKey: OwnerKey) {
    self.init(routingIdentity: withUnsafeBytes(of: connection.bigEndian) { Array($0) }, ownerKey: ownerKey)
  }
}
