package import Architecture
package import Tensors

/// y = x / √(mean of squares + ε) over each row (Zhang and Sennrich, Root Mean Square Layer Normalization, 2019), without a
/// gain: the owner folds gains into the layers that read the norm. A rotation then leaves it as it is.
package struct RootMeanSquareNormLayer: Layer {
  package let name: String
  package let constraints: [SpaceConstraint]
  package let inputs: [Int]
  package let output: Int
  private let epsilon: Double

  package var parameters: [ParameterSpecification] { [] }
  /// The factor of a row.
  package var keptColumns: Int { 1 }
  package var valuesReadBackward: [Int] { [output] }

  init(name: String, from input: Int, to output: Int, _ value: ModelValue, epsilon: Double) {
    self.name = name
    inputs = [input]
    self.output = output
    self.epsilon = epsilon
    constraints = [SpaceConstraint(space: value.space, largest: .orthogonal, reason: "length in \(name)")]
  }

  package func forward<Element: FloatingElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first else { return }
    let (output, kept, epsilon) = (pass.output, pass.kept, Element(epsilon))
    pass.workers.performOverRows(input) { rows in
      Element.rootMeanSquareNorm(
        input.rows(rows), epsilon: epsilon, into: output.rows(rows), scales: kept?.rows(rows))
    }
  }

  package func backward<Element: FloatingElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let target = pass.inputGradients.first ?? nil, let kept = pass.kept else { return 0 }
    let (gradient, output) = (pass.outputGradient, pass.output)
    pass.workers.performOverRows(gradient) { rows in
      Element.rootMeanSquareNormBackward(
        gradient.rows(rows), y: output.rows(rows), scales: kept.rows(rows), xGradient: target.view.rows(rows),
        accumulates: target.accumulates)
    }
    return 0
  }
}
