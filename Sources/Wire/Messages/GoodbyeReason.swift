/// Why a trainer ends.
package enum GoodbyeReason: Int, Sendable {
  case stopping = 0
  /// The machine is wanted for something else; the trainer is started again by itself.
  case preempted = 1

  package var text: String {
    switch self {
    case .stopping: "the trainer stops"
    case .preempted: "the trainer is pre-empted and comes back by itself"
    }
  }
}
