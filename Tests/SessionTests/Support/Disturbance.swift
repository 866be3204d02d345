import Dispatch
import Foundation
import Synchronization
import TestSupport
import Protocol

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
