import Protocol

/// The connections of owners: who is heard of, and to whom a message was lost.
struct Connections {
  private struct Heard {
    /// How long the service had listened then.
    var at: Duration
    /// Of the envelope, in which it is answered.
    var version = WireVersion.current
  }

  private var heard: [PeerID: Heard] = [:]
  /// Connections on which a message to an owner was lost, or a job was taken from a silent one: the owner may believe that
  /// its conversation goes on. It is told `goodbye` until it greets again.
  private var broken: [PeerID: ContinuousClock.Instant] = [:]
  var listening = ListeningTime()

  private static var maxBroken: Int { 1024 }

  mutating func hears(_ peer: PeerID) {
    heard[peer, default: Heard(at: .zero)].at = listening.total
  }

  mutating func hears(_ peer: PeerID, inVersion version: WireVersion) {
    heard[peer]?.version = version
  }

  func isConnected(_ peer: PeerID) -> Bool {
    heard[peer] != nil
  }

  /// The version of the envelope that this connection reads.
  func version(of peer: PeerID) -> WireVersion {
    heard[peer]?.version ?? .current
  }

  mutating func loses(_ peer: PeerID) {
    heard[peer] = nil
  }

  // MARK: - Silence

  func areAnySilent(for limit: Duration) -> Bool {
    heard.values.contains { listening.total - $0.at > limit }
  }

  func silent(for limit: Duration) -> [PeerID] {
    heard.filter { listening.total - $0.value.at > limit }.map(\.key)
  }

  // MARK: - Broken conversations

  func isBroken(_ peer: PeerID) -> Bool {
    broken[peer] != nil
  }

  mutating func breaks(_ peer: PeerID, at now: ContinuousClock.Instant) {
    // Connections that are gone for good never greet again; the oldest are forgotten.
    if broken.count >= Self.maxBroken, let oldest = broken.min(by: { $0.value < $1.value })?.key {
      broken[oldest] = nil
    }
    broken[peer] = now
  }

  mutating func greets(_ peer: PeerID) {
    broken[peer] = nil
  }
}
