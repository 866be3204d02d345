import Dispatch
import Foundation
import Numerics
import Protocol
import Synchronization
import TestSupport

/// Does something to a network after random numbers of messages, a bounded number of times.
final class Disturbance: Sendable {
  private struct State {
    var random: SplitMix
    var left: Int
    var messages: Int
    var isEnded = false
  }

  private let state: Mutex<State>
  private let done = Mutex(0)
  private let due = DispatchSemaphore(value: 0)
  private let hasEnded = DispatchSemaphore(value: 0)
  private let network: InProcessNetwork

  /// The action runs on a thread of its own, while the messages go on.
  init(
    _ network: InProcessNetwork, seed: UInt64, times: Int, messages: ClosedRange<Int>,
    _ action: @escaping @Sendable (InProcessNetwork) -> Void
  ) {
    self.network = network
    var random = SplitMix(seed: seed)
    let first = Int.random(in: messages, using: &random)
    state = Mutex(State(random: random, left: times, messages: first))
    let thread = Thread { [self] in
      while true {
        due.wait()
        if state.withLock({ $0.isEnded }) { break }
        action(network)
        done.withLock { $0 += 1 }
        state.withLock { $0.messages = Int.random(in: messages, using: &$0.random) }
      }
      hasEnded.signal()
    }
    thread.start()
    network.setFault { [self] transit in
      let isDue = state.withLock { state in
        guard state.left > 0, state.messages > 0 else { return false }
        state.messages -= 1
        guard state.messages == 0 else { return false }
        state.left -= 1
        return true
      }
      if isDue { due.signal() }
      return [transit.message]
    }
  }

  /// How often it happened.
  var times: Int { done.withLock { $0 } }

  /// Returns when nothing more happens.
  func end() {
    network.setFault(nil)
    state.withLock { $0.isEnded = true }
    due.signal()
    hasEnded.wait()
  }
}

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
