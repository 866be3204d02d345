import Foundations
import Protocol

/// The connections of clients that are here, by what they speak about.
struct ClientConnections {
  /// The one that a client asked on last is the last.
  private var peers: [Asker: [PeerID]] = [:]

  /// - Parameter asks: false for one that only looks: it takes no answers from another.
  mutating func hears(_ asker: Asker, on peer: PeerID, asks: Bool) {
    guard peers[asker]?.last != peer else { return }
    let isKnown = peers[asker]?.contains(peer) == true
    if asks {
      peers[asker]?.removeAll { $0 == peer }
      peers[asker, default: []].append(peer)
    } else if !isKnown {
      peers[asker, default: []].insert(peer, at: 0)
    }
  }

  func connections(of asker: Asker) -> [PeerID] { peers[asker] ?? [] }

  /// - Returns: the one it asked on last.
  mutating func remove(_ asker: Asker) -> PeerID? {
    peers.removeValue(forKey: asker)?.last
  }

  /// A connection is gone.
  ///
  /// - Returns: those that have no other.
  mutating func loses(_ peer: PeerID) -> [Asker] {
    var gone: [Asker] = []
    for (asker, known) in peers where asker.key == peer.ownerKey && known.contains(peer) {
      let left = known.filter { $0 != peer }
      peers[asker] = left.isEmpty ? nil : left
      if left.isEmpty { gone.append(asker) }
    }
    return gone
  }

  var all: [(job: JobID, peer: PeerID)] {
    peers.flatMap { asker, peers in peers.map { (asker.deployment, $0) } }
  }
}
