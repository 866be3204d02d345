import Foundation
import Synchronization
import Numerics
import TestSupport

/// Kills a trainer at random moments and starts another on what its store held.
final class TrainerKiller<Element: FloatingElement>: Sendable {
  /// The trainer that lives, and how many there were before it.
  private final class Succession: Sendable {
    let state: Mutex<(host: TrainerHost<Element>, dead: Int)>

    init(_ host: TrainerHost<Element>) {
      state = Mutex((host, 0))
    }
  }

  private let succession: Succession
  private let disturbance: Disturbance

  init(_ site: Site<Element>, seed: UInt64, kills: Int, messages: ClosedRange<Int>) {
    let succession = Succession(site.trainer(store: "store-0"))
    self.succession = succession
    disturbance = Disturbance(site.network, seed: seed, times: kills, messages: messages) { _ in
      succession.state.withLock { state in
        let next = "store-\(state.dead + 1)"
        // A failure to copy is an empty store: the job then starts over, which the test's comparison allows and bounds.
        try? state.host.kill(snapshot: site.directory.url(next))
        state = (site.trainer(store: next), state.dead + 1)
      }
    }
  }

  var kills: Int { disturbance.times }

  func end() {
    disturbance.end()
    succession.state.withLock { $0.host.shutDown() }
  }
}
