import CZeroMQ

extension ZeroMQSocket {
  /// The name under which connections ask for admission.
  static let admissionDomain = "owners"

  /// What CURVE adds to a frame on the wire: 8 bytes of command name, 8 of nonce, 16 of authenticator, 1 of flags (ZeroMQ
  /// RFC 26); libzmq's size limit counts them.
  private static let curveOverhead = 33

  /// The handshake's own frames must pass whatever the limit on messages is.
  private static let handshakeBytes = 1_024

  /// Limits and times, which libzmq leaves off or unlimited by itself.
  func configure(_ options: TransportOptions, endpoint: String) throws(TransportError) {
    let largest = max(
      min(options.maximumFrameBytes, options.pieceBytes), MessageEnvelope.tableBytes(frames: options.maximumFrames),
      Self.handshakeBytes)
    try set(ZMQ_MAXMSGSIZE, wide: Int64(largest + Self.curveOverhead))
    try set(ZMQ_SNDHWM, Int32(clamping: max(1, options.sendQueueMessages)))
    try set(ZMQ_RCVHWM, Int32(clamping: max(1, options.receiveQueueMessages)))
    try set(ZMQ_HEARTBEAT_IVL, options.heartbeatInterval.wholeMilliseconds)
    try set(ZMQ_HEARTBEAT_TIMEOUT, options.heartbeatTimeout.wholeMilliseconds)
    // The other side gives up on us after as long; the protocol carries tenths of a second in 16 bits.
    try set(ZMQ_HEARTBEAT_TTL, min(options.heartbeatTimeout.wholeMilliseconds, 6_553_500))
    try set(ZMQ_HANDSHAKE_IVL, options.handshakeTimeout.wholeMilliseconds)
    try set(ZMQ_LINGER, options.linger.wholeMilliseconds)
    // The kernel's own probes, for the time in which heartbeats are paused by a full queue.
    try set(ZMQ_TCP_KEEPALIVE, 1)
    try set(ZMQ_TCP_KEEPALIVE_IDLE, 30)
    try set(ZMQ_TCP_KEEPALIVE_INTVL, 10)
    try set(ZMQ_TCP_KEEPALIVE_CNT, 3)
    // With IPv6 on, libzmq takes a name's IPv6 address alone and never tries the other, so only an IPv6 literal asks for it.
    try set(ZMQ_IPV6, endpoint.contains("[") ? 1 : 0)
  }

  /// The owner's side of CURVE; `trainerKey` is the only key it accepts at the other end.
  func configureOwner(keys: CurveKeyPair, trainerKey: CurvePublicKey) throws(TransportError) {
    try set(ZMQ_CURVE_SERVERKEY, bytes: trainerKey.bytes)
    try set(ZMQ_CURVE_PUBLICKEY, bytes: keys.publicKey.bytes)
    try setSecretKey(keys)
  }

  /// For a socket that connects.
  func configureAttempt(_ options: TransportOptions) throws(TransportError) {
    try set(ZMQ_CONNECT_TIMEOUT, options.connectTimeout.wholeMilliseconds)
    // One attempt, then an event and weeks of quiet: `SocketAttempts` makes a new socket instead.
    try set(ZMQ_RECONNECT_IVL, 2_000_000_000)
  }

  /// The trainer's side of CURVE: nobody gets past the handshake whom the admission handler does not let in.
  func configureTrainer(keys: CurveKeyPair) throws(TransportError) {
    try set(ZMQ_CURVE_SERVER, 1)
    try setSecretKey(keys)
    try set(ZMQ_ZAP_DOMAIN, bytes: Array(Self.admissionDomain.utf8))
    // Without it libzmq would admit everyone if no handler were running.
    try set(czmq_zap_enforce_domain, 1)
  }

  /// For the ROUTER socket of a side that listens: sending to a connection that is gone is an error, not silence.
  func configureListening() throws(TransportError) {
    try set(ZMQ_ROUTER_MANDATORY, 1)
  }

  private func setSecretKey(_ keys: CurveKeyPair) throws(TransportError) {
    try keys.withSecretBytes { (bytes) throws(TransportError) in try set(ZMQ_CURVE_SECRETKEY, borrowed: bytes) }
  }
}
