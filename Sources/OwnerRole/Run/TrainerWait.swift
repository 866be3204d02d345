import Numerics

/// Waits for a trainer, and does work again from its start whenever the connection to it was lost and is back, or the job has to wait for its
/// next turn.
struct TrainerWait<Element: FloatingElement> {
  let connection: TrainerConnection<Element>
  /// How long to wait for a trainer that is not there.
  let patience: Duration
  let isInterrupted: () -> Bool
  let observe: (RunEvent) -> Void

  /// - Parameters:
  ///   - steps: of the history here.
  ///   - isReported: whether the lost connection, and that the run waits, was reported already.
  /// - Throws: `OwnerError.interrupted`, which is not the trainer's absence; `.trainerGone` after `patience`; a refusal or key problem.
  func greet(steps: Int, isReported: Bool = false) throws {
    var hasWaited = isReported
    do {
      try connection.greet(patience: patience, interrupted: isInterrupted) { reason in
        if !hasWaited { observe(.waitingForTrainer(reason)) }
        hasWaited = true
      }
      if hasWaited { observe(.trainerBack) }
    } catch OwnerError.trainerGone(_) where isInterrupted() {
      throw OwnerError.interrupted(step: steps)
    }
  }

  /// - Parameter context: what has a history to make durable; nil for work without.
  func run<Value>(history context: RunContext<Element>?, _ work: () throws -> Value) throws -> Value {
    while true {
      do {
        return try work()
      } catch OwnerError.turnEnded {
        try context?.syncHistory()
        observe(.turnEnded)
        try greet(steps: context?.history.steps ?? 0)
      } catch OwnerError.trainerGone(let reason) {
        try context?.syncHistory()
        observe(.trainerLost(reason))
        try greet(steps: context?.history.steps ?? 0, isReported: true)
      }
    }
  }
}
