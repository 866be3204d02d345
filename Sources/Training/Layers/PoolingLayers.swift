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
  package var formatRules: [FormatRule] { inputs.map { .alike($0, output) } }

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
      input.rows(sequences.range(ofSample: sample)).averageRows(into: output.rows(sample..<sample + 1))
    }
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let target = pass.inputGradients.first ?? nil, let sequences = pass.sequences else { return 0 }
    let gradient = pass.outputGradient
    pass.workers.perform(pieces: sequences.samples) { sample in
      let tokens = sequences.range(ofSample: sample)
      let share = 1 / Element.Accumulator(max(1, tokens.count))
      for row in tokens {
        target.view.writeScaled(share, row: sample, of: gradient, intoRow: row, accumulates: target.accumulates)
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
  package var formatRules: [FormatRule] { inputs.map { .alike($0, output) } }

  init(name: String, from input: Int, to output: Int, _ value: ModelValue) {
    self.name = name
    inputs = [input]
    self.output = output
    constraints = [SpaceConstraint(space: value.space, largest: .orthogonal, reason: "pooled token of \(name)")]
  }

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first, let pooled = pass.sequences?.pooled else { return }
    for (sample, row) in pooled.enumerated() { pass.output.copyRow(row, of: input, to: sample) }
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let target = pass.inputGradients.first ?? nil, let pooled = pass.sequences?.pooled else { return 0 }
    let (view, gradient) = (target.view, pass.outputGradient)
    if !target.accumulates {
      pass.workers.performOverRows(view) { rows in
        for row in rows { view.clearRow(row) }
      }
    }
    for (sample, row) in pooled.enumerated() {
      view.writeScaled(1, row: sample, of: gradient, intoRow: row, accumulates: true)
    }
    return 0
  }
}
