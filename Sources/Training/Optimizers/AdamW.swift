import Models
import Foundation
import Numerics

/// `torch.optim.AdamW` with its default betas and epsilon.
final class AdamW<Element: FloatingElement>: Optimizer {
  let state: [OptimizerStateTensor<Element>]
  private let weightDecay: Double
  private let parameterCount: Int
  private let beta1 = 0.9
  private let beta2 = 0.999
  private let epsilon = 1e-8

  static func statePrefixes(_ description: OptimizerDescription) -> [String] { ["moment1", "moment2"] }

  init(_ description: OptimizerDescription, _ parameters: [ParameterSpecification]) {
    weightDecay = description.weightDecay
    parameterCount = parameters.count
    state = description.makeState(for: parameters)
  }

  func update(
    _ index: Int, parameter: MatrixBuffer<Element>, gradient: MatrixBuffer<Element>, _ settings: UpdateSettings,
    compute: Compute
  ) {
    let (weights, gradients) = (parameter.view, gradient.view)
    let (moments1, moments2) = (state[index].buffer.view, state[parameterCount + index].buffer.view)
    let clip = Element(settings.clip)
    let shrink = Element(1 - settings.learningRate * weightDecay)
    let (weight1, weight2) = (Element(1 - beta1), Element(1 - beta2))
    let (decay2, epsilon) = (Element(beta2), Element(epsilon))
    let count = Double(settings.step + 1)
    let stepSize = Element(settings.learningRate / (1 - pow(beta1, count)))
    let root = Element((1 - pow(beta2, count)).squareRoot())
    compute.workers.performOverElements(parameter.count) { range in
      let first = range.lowerBound
      Element.adamw(
        range.count, weights: weights.base + first, gradient: gradients.base + first, moment1: moments1.base + first,
        moment2: moments2.base + first, clip: clip, shrink: shrink, weight1: weight1, beta2: decay2, weight2: weight2,
        epsilon: epsilon, stepSize: stepSize, root: root)
    }
  }
}
