import Protocol

/// The connections of owners: who is heard of, and to whom a message was lost.
struct Connections {
  /// How long the service had listened when a connection was last heard of.
  private var heard: [PeerID: Duration] = [:]
  /// Those that speak a version of before, and are answered in it: also once they were silent for too long, since they may still read.
  private var versions: [PeerID: WireVersion] = [:]
  /// Connections on which a message to an owner was lost, or a job was taken from a silent one: the owner may believe that
  /// its conversation goes on. It is told `goodbye` until it greets again.
  private var broken: [PeerID: ContinuousClock.Instant] = [:]
  var listening = ListeningTime()

  private static var maxRemembered: Int { 1024 }

  mutating func hears(_ peer: PeerID) {
    heard[peer] = listening.total
  }

  mutating func hears(_ peer: PeerID, inVersion version: WireVersion) {
    guard versions[peer] != nil || version != .current else { return }
    // Connections that are gone for good are forgotten.
    if versions.count >= Self.maxRemembered { versions = versions.filter { isConnected($0.key) } }
    versions[peer] = version == .current ? nil : version
  }

  func isConnected(_ peer: PeerID) -> Bool {
    heard[peer] != nil
  }

  /// The version of the envelope that this connection reads.
  func version(of peer: PeerID) -> WireVersion {
    versions[peer] ?? .current
  }

  mutating func loses(_ peer: PeerID) {
    heard[peer] = nil
  }

  // MARK: - Silence

  func areAnySilent(for limit: Duration) -> Bool {
    heard.values.contains { listening.total - $0 > limit }
  }

  func silent(for limit: Duration) -> [PeerID] {
    heard.filter { listening.total - $0.value > limit }.map(\.key)
  }

  // MARK: - Broken conversations

  func isBroken(_ peer: PeerID) -> Bool {
    broken[peer] != nil
  }

  mutating func breaks(_ peer: PeerID, at now: ContinuousClock.Instant) {
    // Connections that are gone for good never greet again; the oldest are forgotten.
    if broken.count >= Self.maxRemembered, let oldest = broken.min(by: { $0.value < $1.value })?.key {
      broken[oldest] = nil
    }
    broken[peer] = now
  }

  mutating func greets(_ peer: PeerID) {
    broken[peer] = nil
  }
}
