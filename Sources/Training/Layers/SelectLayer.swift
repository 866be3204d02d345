package import Architecture
package import Tensors

/// The pooled token's row of each sample: from tokens to samples.
package struct SelectLayer: Layer {
  package let name: String
  package let constraints: [SpaceConstraint]
  package let inputs: [Int]
  package let output: Int

  package var parameters: [ParameterSpecification] { [] }
  package var keptColumns: Int { 0 }
  package var valuesReadBackward: [Int] { [] }

  init(name: String, from input: Int, to output: Int, _ value: ModelValue) {
    self.name = name
    inputs = [input]
    self.output = output
    constraints = [SpaceConstraint(space: value.space, largest: .orthogonal, reason: "pooled token of \(name)")]
  }

  package func forward<Element: FloatingElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first, let pooled = pass.sequences?.pooled else { return }
    for (sample, row) in pooled.enumerated() {
      let target = pass.output.base + sample * pass.output.stride
      target.update(from: input.base + row * input.stride, count: input.columns)
    }
  }

  package func backward<Element: FloatingElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let target = pass.inputGradients.first ?? nil, let pooled = pass.sequences?.pooled else { return 0 }
    let (view, gradient) = (target.view, pass.outputGradient)
    if !target.accumulates {
      pass.workers.performOverRows(view) { rows in
        for row in rows { (view.base + row * view.stride).update(repeating: 0, count: view.columns) }
      }
    }
    for (sample, row) in pooled.enumerated() {
      Element.putScaled(
        view.columns, 1, gradient.base + sample * gradient.stride, into: view.base + row * view.stride,
        accumulates: true)
    }
    return 0
  }
}
