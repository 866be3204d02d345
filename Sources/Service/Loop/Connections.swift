package import Protocol
import Synchronization

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

  func silence(of peer: PeerID) -> Duration? {
    heard[peer].map { listening.total - $0 }
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

/// How long a service has listened to its socket. Of the time between one look and the next, which it spends on other things, a tenth of
/// a second counts at most: what arrives meanwhile waits unread.
package struct ListeningTime {
  private static let maxPause: Duration = .milliseconds(100)

  package private(set) var total = Duration.zero
  private var began: ContinuousClock.Instant?
  private var ended: ContinuousClock.Instant?

  package init() {}

  package mutating func start(at now: ContinuousClock.Instant) {
    if let ended { total += min(ended.duration(to: now), Self.maxPause) }
    began = now
  }

  /// - Parameter timeout: of this look; a process that was stopped meanwhile has not listened for longer.
  package mutating func stop(at now: ContinuousClock.Instant, timeout: Duration) {
    if let began { total += min(began.duration(to: now), timeout + Self.maxPause) }
    ended = now
  }
}

/// The owners a service works for at this moment, with what each may use; replaceable from any thread.
package final class ServedOwners: Sendable {
  private struct State {
    /// Nil: everyone, without limits.
    var authorized: AuthorizedKeys?
    var hasChanged = false
    var wake: (@Sendable () -> Void)?
  }

  private let state: Mutex<State>

  /// - Parameter authorized: nil for everyone who is let in.
  package init(_ authorized: AuthorizedKeys? = nil) {
    state = Mutex(State(authorized: authorized))
  }

  /// From now on these: jobs of others stop at the end of a step and are kept.
  package func replace(with authorized: AuthorizedKeys) {
    let wake = state.withLock { state in
      state.authorized = authorized
      state.hasChanged = true
      return state.wake
    }
    wake?()
  }

  /// Nil for an owner that is not served.
  package func limits(of owner: OwnerKey) -> OwnerLimits? {
    state.withLock { state in
      guard let authorized = state.authorized else { return OwnerLimits() }
      return authorized.limits[owner]
    }
  }

  /// The number of owners listed, once after each replacement.
  package func takeChange() -> Int? {
    state.withLock { state in
      guard state.hasChanged else { return nil }
      state.hasChanged = false
      return state.authorized?.limits.count
    }
  }

  package func onChange(_ wake: @escaping @Sendable () -> Void) {
    state.withLock { $0.wake = wake }
  }
}
