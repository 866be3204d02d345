package import Models
package import Numerics

/// A linear layer with a frozen or trained base and a low-rank addition (LoRA, Hu et al., 2021, section 4.1):
/// y = residual + f(x Wᵀ + b + s (x Aᵀ) Bᵀ).
///
/// B rows, r rank; A is r × in, B out × r. The rank space is one more pair of linear layers' inner space, so its key is any
/// orthogonal one.
package struct LowRankLinearLayer: Layer {
  package let name: String
  package let parameters: [ParameterSpecification]
  package let constraints: [SpaceConstraint]
  package let keptColumns: Int
  package let valuesReadBackward: [Int]
  private let base: LinearLayer
  private let rank: Int
  private let scale: Double

  package var inputs: [Int] { base.inputs }
  package var output: Int { base.output }
  package var formatRules: [FormatRule] { base.formatRules }

  /// - Parameters:
  ///   - base: without homogeneous columns; its name is the adapter's prefix, as PEFT has it.
  ///   - rank: the space between A and B.
  init(_ base: LinearLayer, input source: ModelValue, output target: ModelValue, rank: Space, scale: Double) {
    self.base = base
    name = base.name
    self.rank = rank.width
    self.scale = scale
    let space = rank.id
    parameters =
      base.parameters + [
        ParameterSpecification(
          name: "\(base.name).lora_A.weight", shape: [rank.width, source.width], rows: space,
          columns: source.space),
        ParameterSpecification(
          name: "\(base.name).lora_B.weight", shape: [target.width, rank.width], rows: target.space,
          columns: space, origin: .zeros),
      ]
    constraints =
      base.constraints + [
        SpaceConstraint(space: space, largest: .orthogonal, reason: "low rank of \(base.name)")
      ]
    // x Aᵀ, and in the backward pass dZ B.
    keptColumns = base.keptColumns + 2 * rank.width
    valuesReadBackward = [base.inputs[0]] + base.valuesReadBackward.filter { $0 != base.inputs[0] }
  }

  /// Of the base's weight, and of A.
  package func productsOfInput(_ direction: PassDirection) -> Int { base.productsOfInput(direction) + 1 }

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    guard let input = pass.inputs.first, pass.parameters.count == parameters.count,
      let down = pass.parameters.dropLast().last, let up = pass.parameters.last
    else { return }
    // Without a backward pass nobody keeps x Aᵀ.
    let temporary = MatrixBuffer<Element>(rows: pass.kept == nil ? input.rows : 0, columns: rank)
    defer { withExtendedLifetime(temporary) {} }
    let reduced = Element.stored(
      pass.kept.map { $0.columns(base.keptColumns..<base.keptColumns + rank) } ?? temporary.view)
    pass.compute.multiply(
      input, .full(down), transposeB: true, packed: pass.packed.dropLast().last?.transposed,
      packedA: pass.packedInput, into: reduced)
    base.forward(
      basePass(pass),
      adding: ProductTerm(reduced, .full(up), transposeB: true, packed: pass.packed.last?.transposed, alpha: scale))
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let input = pass.inputs.first, let kept = pass.kept, pass.parameters.count == parameters.count,
      let down = pass.parameters.dropLast().last, let up = pass.parameters.last
    else { return 0 }
    // Leaves dZ in the output's gradient, and the base's share in the input's.
    var squares = base.backward(basePass(pass))
    let gradient = pass.outputGradient
    let reduced = Element.stored(kept.columns(base.keptColumns..<base.keptColumns + rank))
    if let upGradient = pass.parameterGradients.last ?? nil {
      squares += pass.compute.multiplyForWeights(gradient, reduced, factor: scale, into: upGradient)
    }
    // dZ B, through which the gradients of A and of x go.
    let reducedGradient = Element.stored(kept.columns(base.keptColumns + rank..<base.keptColumns + 2 * rank))
    pass.compute.multiply(gradient, .full(up), packed: pass.packed.last?.plain, into: reducedGradient)
    if let downGradient = pass.parameterGradients.dropLast().last ?? nil {
      squares += pass.compute.multiplyForWeights(
        reducedGradient, input, packed: pass.packedInput, factor: scale, into: downGradient)
    }
    if let inputGradient = pass.inputGradients.first ?? nil {
      pass.compute.multiply(
        reducedGradient, .full(down), packed: pass.packed.dropLast().last?.plain, alpha: scale, accumulates: true,
        into: inputGradient.view)
    }
    return squares
  }

  private func basePass<Element: ActivationElement>(_ pass: ForwardPass<Element>) -> ForwardPass<Element> {
    ForwardPass(
      compute: pass.compute, sequences: pass.sequences, parameters: pass.parameters.dropLast(2),
      packed: pass.packed.dropLast(2), packedInput: pass.packedInput, inputs: pass.inputs,
      output: pass.output, kept: pass.kept.map { $0.columns(0..<base.keptColumns) })
  }

  private func basePass<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> BackwardPass<Element> {
    BackwardPass(
      compute: pass.compute, sequences: pass.sequences, parameters: pass.parameters.dropLast(2),
      packed: pass.packed.dropLast(2), packedInput: pass.packedInput, inputs: pass.inputs,
      output: pass.output, kept: pass.kept.map { $0.columns(0..<base.keptColumns) },
      outputGradient: pass.outputGradient, inputGradients: pass.inputGradients,
      parameterGradients: pass.parameterGradients.dropLast(2))
  }
}

extension LowRankLinearLayer: SampleNormLayer {
  package func addSampleSquares<Element: ActivationElement>(
    _ pass: BackwardPass<Element>, of samples: SampleRows, to squares: PartialSums
  ) {
    guard let input = pass.inputs.first, let kept = pass.kept else { return }
    base.addSampleSquares(basePass(pass), of: samples, to: squares)
    // x Aᵀ and dZ B, as the backward pass has left them.
    let reduced = Element.stored(kept.columns(base.keptColumns..<base.keptColumns + rank))
    let reducedGradient = Element.stored(kept.columns(base.keptColumns + rank..<base.keptColumns + 2 * rank))
    pass.compute.addProductSquares(
      pass.outputGradient.exact, reduced.exact, factor: scale, of: samples, to: squares)
    pass.compute.addProductSquares(reducedGradient.exact, input.exact, factor: scale, of: samples, to: squares)
  }
}
