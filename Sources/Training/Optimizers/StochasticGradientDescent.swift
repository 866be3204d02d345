import Models
import Numerics

/// `torch.optim.SGD`: weight decay added to the gradient, momentum without dampening, optionally Nesterov's.
///
/// The first step's buffer is the gradient itself: μ · 0 + g.
final class StochasticGradientDescent<Element: FloatingElement>: Optimizer {
  let state: [OptimizerStateTensor<Element>]
  private let description: OptimizerDescription

  static func statePrefixes(_ description: OptimizerDescription) -> [String] {
    description.momentum > 0 ? ["momentum"] : []
  }

  init(_ description: OptimizerDescription, _ parameters: [ParameterSpecification]) {
    self.description = description
    state = description.makeState(for: parameters)
  }

  func update(
    _ index: Int, parameter: MatrixBuffer<Element>, gradient: MatrixBuffer<Element>, _ settings: UpdateSettings,
    compute: Compute
  ) {
    let (weights, gradients) = (parameter.view, gradient.view)
    let buffers = state.isEmpty ? nil : state[index].buffer.view
    let (clip, rate) = (Element(settings.clip), Element(settings.learningRate))
    let (momentum, decay) = (Element(description.momentum), Element(description.weightDecay))
    let nesterov = description.nesterov
    compute.workers.performOverElements(parameter.count) { range in
      let first = range.lowerBound
      Element.sgd(
        range.count, weights: weights.base + first, gradient: gradients.base + first,
        buffer: buffers.map { $0.base + first },
        clip: clip, rate: rate, momentum: momentum, nesterov: nesterov, decay: decay)
    }
  }
}
