import Foundation
import Synchronization
import Service
import TrainerRole

/// What a trainer said of itself.
final class EventRecorder: Sendable {
  private let events = Mutex<[TrainerEvent]>([])

  func note(_ event: TrainerEvent) {
    events.withLock { $0.append(event) }
  }

  var refusals: [String] {
    events.withLock { events in
      events.compactMap { event in
        if case .refused(_, _, let reason) = event { return reason }
        return nil
      }
    }
  }

  var checkpoints: [Int] {
    events.withLock { events in
      events.compactMap { event in
        if case .role(.checkpoint(_, let step, _)) = event { return step }
        return nil
      }
    }
  }

  var failures: [String] {
    events.withLock { events in
      events.compactMap { event in
        if case .jobFailed(_, let reason) = event { return reason }
        return nil
      }
    }
  }

  var pauses: [Int] {
    events.withLock { events in
      events.compactMap { event in
        if case .jobPaused(_, let step, _) = event { return step }
        return nil
      }
    }
  }

  var finished: Int {
    events.withLock { events in
      events.count { event in
        if case .jobFinished = event { return true }
        return false
      }
    }
  }
}
