import Collectives
import Tensors
import Training

/// Sums an engine's gradients over the ranks of a communicator.
final class CollectiveReduction<Element: FloatingElement>: GradientReduction {
  private let communicator: any Communicator
  private var pending: [PendingOperation] = []
  private let clock = ContinuousClock()
  /// From the call of the last `finish`, which is the end of a backward pass, until all sums were there.
  private(set) var waited = Duration.zero

  init(_ communicator: any Communicator) {
    self.communicator = communicator
  }

  var replicas: Int { communicator.size }

  func start(_ elements: UnsafeMutableBufferPointer<Element>) {
    pending.append(communicator.startSum(elements))
  }

  func finish() -> Bool {
    defer { pending = [] }
    var isComplete = true
    waited = clock.measure {
      for sum in pending where (try? sum.wait()) == nil { isComplete = false }
    }
    return isComplete
  }
}
