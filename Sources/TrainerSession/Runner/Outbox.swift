import Synchronization
import Tensors
import Wire

/// What runners hand to the service thread, which alone touches the socket.
final class Outbox<Element: FloatingElement>: Sendable {
  enum Item: Sendable {
    case send(JobID, TrainerMessage<Element>)
    case ended(JobID, RunnerOutcome)
    case event(TrainerEvent)
  }

  private let items = Mutex<[Item]>([])
  private let wake: @Sendable () -> Void

  /// - Parameter wake: makes the service look here at once.
  init(wake: @escaping @Sendable () -> Void) {
    self.wake = wake
  }

  func post(_ item: Item) {
    items.withLock { $0.append(item) }
    wake()
  }

  func takeAll() -> [Item] {
    items.withLock { items in
      defer { items = [] }
      return items
    }
  }
}
