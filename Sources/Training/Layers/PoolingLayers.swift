package import Models
package import Numerics

/// The average of each sample's tokens: from tokens to samples.
package struct MeanPoolLayer: Layer {
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
    constraints = [SpaceConstraint(space: value.space, largest: .orthogonal, reason: "average in \(name)")]
  }

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first, let sequences = pass.sequences else { return }
    let output = pass.output
    pass.workers.perform(pieces: sequences.samples) { sample in
      Element.averageRows(
        input.rows(sequences.range(ofSample: sample)), into: output.base + sample * output.stride)
    }
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let target = pass.inputGradients.first ?? nil, let sequences = pass.sequences else { return 0 }
    let gradient = pass.outputGradient
    pass.workers.perform(pieces: sequences.samples) { sample in
      let tokens = sequences.range(ofSample: sample)
      let share = 1 / Element.Accumulator(max(1, tokens.count))
      for row in tokens {
        Element.writeScaled(
          gradient.columns, share, gradient.base + sample * gradient.stride,
          into: target.view.base + row * target.view.stride, accumulates: target.accumulates)
      }
    }
    return 0
  }
}

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

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first, let pooled = pass.sequences?.pooled else { return }
    for (sample, row) in pooled.enumerated() {
      let target = pass.output.base + sample * pass.output.stride
      target.update(from: input.base + row * input.stride, count: input.columns)
    }
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let target = pass.inputGradients.first ?? nil, let pooled = pass.sequences?.pooled else { return 0 }
    let (view, gradient) = (target.view, pass.outputGradient)
    if !target.accumulates {
      pass.workers.performOverRows(view) { rows in
        for row in rows { (view.base + row * view.stride).update(repeating: 0, count: view.columns) }
      }
    }
    for (sample, row) in pooled.enumerated() {
      Element.writeScaled(
        view.columns, 1, gradient.base + sample * gradient.stride, into: view.base + row * view.stride,
        accumulates: true)
    }
    return 0
  }
}
