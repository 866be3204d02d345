import Checkpoints
import Tensors

/// The weights after the best epoch so far.
struct KeptWeights<Element: FloatingElement> {
  let epoch: Int
  /// Known when the trainer evaluates.
  let metric: Double?
  let parameters: NamedTensors<Element>
}
