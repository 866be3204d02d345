package import Models
package import Numerics

/// y = (x − mean) / √(variance + ε) ⊙ gain + shift over each row (Ba et al., Layer Normalization, 2016).
///
/// The gain stays in place, so the space is permuted at most: a rotated gain would give the key away (its eigenvectors are the
/// key's columns).
package struct LayerNormLayer: Layer {
  package let name: String
  package let parameters: [ParameterSpecification]
  package let constraints: [SpaceConstraint]
  package let inputs: [Int]
  package let output: Int
  private let epsilon: Double

  /// Mean and reciprocal deviation of a row.
  package var statisticsColumns: Int { 2 }
  package var keptColumns: Int { 0 }
  package var valuesReadBackward: [Int] { inputs }
  package var formatRules: [FormatRule] { inputs.flatMap { [.full($0), .notNarrower($0, than: output)] } }

  /// - Parameter value: what both input and output are: they share a space.
  init(name: String, from input: Int, to output: Int, _ value: ModelValue, epsilon: Double, isTrained: Bool) {
    self.name = name
    inputs = [input]
    self.output = output
    self.epsilon = epsilon
    parameters = ["weight", "bias"].map { part in
      ParameterSpecification(
        name: "\(name).\(part)", shape: [value.width], rows: value.space, columns: nil, isTrained: isTrained,
        origin: .pretrained)
    }
    constraints = [SpaceConstraint(space: value.space, largest: .permutation, reason: "gain of \(name)")]
  }

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first, let gain = pass.parameters.first, let shift = pass.parameters.last else {
      return
    }
    let (output, statistics, epsilon) = (pass.output, pass.statistics, Element.Accumulator(epsilon))
    pass.workers.performOverRows(input) { rows in
      input.rows(rows).layerNorm(
        gain: gain.base, shift: shift.base, epsilon: epsilon, into: output.rows(rows),
        statistics: statistics?.rows(rows))
    }
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let input = pass.inputs.first, let gain = pass.parameters.first, let statistics = pass.statistics else {
      return 0
    }
    let gradient = pass.outputGradient
    let target = pass.inputGradients.first ?? nil
    let gainGradient = pass.parameterGradients.first ?? nil
    let shiftGradient = pass.parameterGradients.last ?? nil
    let isTrained = gainGradient != nil || shiftGradient != nil
    let width = gradient.columns
    let sums = ColumnSums(rows: gradient.rows, width: width, columns: 2 * width, isWanted: isTrained)
    pass.workers.perform(pieces: sums.pieces) { piece in
      let rows = sums.rows(ofPiece: piece)
      gradient.rows(rows).layerNormBackward(
        x: input.rows(rows), statistics: statistics.rows(rows), gain: gain.base,
        xGradient: target?.view.rows(rows), accumulates: target?.accumulates ?? false,
        columnSums: isTrained ? sums.sums(ofPiece: piece) : nil)
    }
    var squares = 0.0
    for (columns, parameter) in [(0..<width, gainGradient), (width..<2 * width, shiftGradient)] {
      guard let parameter else { continue }
      sums.total(columns, into: parameter.view.base, accumulates: parameter.accumulates)
      squares += Element.Accumulator.sumOfSquares(width, parameter.view.base)
    }
    return squares
  }
}

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
  package var statisticsColumns: Int { 1 }
  package var keptColumns: Int { 0 }
  package var valuesReadBackward: [Int] { [output] }
  package var formatRules: [FormatRule] { inputs.flatMap { [.full($0), .notNarrower($0, than: output)] } }

  init(name: String, from input: Int, to output: Int, _ value: ModelValue, epsilon: Double) {
    self.name = name
    inputs = [input]
    self.output = output
    self.epsilon = epsilon
    constraints = [SpaceConstraint(space: value.space, largest: .orthogonal, reason: "length in \(name)")]
  }

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first else { return }
    let (output, statistics, epsilon) = (pass.output, pass.statistics, Element.Accumulator(epsilon))
    pass.workers.performOverRows(input) { rows in
      input.rows(rows).rootMeanSquareNorm(
        epsilon: epsilon, into: output.rows(rows), scales: statistics?.rows(rows))
    }
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let target = pass.inputGradients.first ?? nil, let statistics = pass.statistics else { return 0 }
    let (gradient, output) = (pass.outputGradient, pass.output)
    pass.workers.performOverRows(gradient) { rows in
      gradient.rows(rows).rootMeanSquareNormBackward(
        y: output.rows(rows), scales: statistics.rows(rows), xGradient: target.view.rows(rows),
        accumulates: target.accumulates)
    }
    return 0
  }
}
