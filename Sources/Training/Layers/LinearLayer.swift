package import Models
package import Numerics

/// y = residual + f(x Wᵀ + b), W out × in, f an elementwise function or none, the residual another value or none.
///
/// B rows, samples or tokens. Function and residual are a part of the layer so that bias, function, residual and derivative
/// cost one pass over memory each, and the forward ones happen while a tile of the product is still in cache.
package struct LinearLayer: Layer {
  package let name: String
  package let parameters: [ParameterSpecification]
  package let constraints: [SpaceConstraint]
  package let inputs: [Int]
  package let output: Int
  package let keptColumns: Int
  package let valuesReadBackward: [Int]
  package let formatRules: [FormatRule]
  private let function: ElementwiseFunction
  private let biasIsWithoutEffect: Bool

  /// - Parameters:
  ///   - homogeneous: set when `source` is [x; 1; 0_k]; the bias is then a column of the weight, under the name the
  ///     plaintext checkpoint has it by, and the layer has no bias parameter.
  ///   - residual: a value of the target's shape and space; only without an activation, whose derivative is computed from
  ///     the output.
  init(
    name: String, from input: Int, _ source: ModelValue, to output: Int, _ target: ModelValue,
    homogeneous: HomogeneousColumns? = nil, activation: Activation? = nil, residual: Int? = nil,
    _ starting: LinearParameters = LinearParameters()
  ) {
    precondition(activation == nil || residual == nil, "\(name): a residual is added to a linear result")
    self.name = name
    inputs = [input] + (residual.map { [$0] } ?? [])
    self.output = output
    let biasName = "\(name).bias"
    let weight = ParameterSpecification(
      name: "\(name).weight", shape: [target.width, source.width], rows: target.space, columns: source.space,
      homogeneous: homogeneous, biasName: homogeneous == nil ? nil : biasName, isTrained: starting.isTrained,
      origin: starting.weightOrigin)
    let bias = ParameterSpecification(
      name: biasName, shape: [target.width], rows: target.space, columns: nil, isTrained: starting.isTrained,
      origin: starting.biasOrigin)
    parameters = homogeneous == nil && starting.hasBias ? [weight, bias] : [weight]
    constraints = [
      SpaceConstraint(space: source.space, largest: .orthogonal, reason: "linear in of \(name)"),
      activation.map {
        SpaceConstraint(space: target.space, largest: $0.largestGroup, reason: "\($0.rawValue) after \(name)")
      } ?? SpaceConstraint(space: target.space, largest: .orthogonal, reason: "linear out of \(name)"),
    ]
    biasIsWithoutEffect = starting.biasIsWithoutEffect
    function = activation.map(ElementwiseFunction.init) ?? .identity
    keptColumns = function.derivativeIsKept ? target.width : 0
    formatRules =
      (residual.map { [.full(output), .alike($0, output)] } ?? [])
      + (keptColumns > 0 ? [.narrow(output)] : [])
    valuesReadBackward =
      (starting.isTrained ? [input] : []) + (keptColumns == 0 && function != .identity ? [output] : [])
  }

  package func productsOfInput(_ direction: PassDirection) -> Int {
    switch direction {
    case .forward: 1
    case .backward: parameters.first?.isTrained == true ? 1 : 0
    }
  }

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    forward(pass, adding: nil)
  }

  /// - Parameter addition: added to x Wᵀ before bias and function.
  func forward<Element: ActivationElement>(
    _ pass: ForwardPass<Element>, adding addition: ProductTerm<Element.Accumulator>?
  ) {
    guard let weight = pass.parameters.first, let input = pass.inputs.first else { return }
    let bias = parameters.count > 1 ? pass.parameters.dropFirst().first : nil
    let residual = pass.inputs.dropFirst().first
    let isPlain = bias == nil && residual == nil && function == .identity && addition == nil
    pass.compute.multiply(
      input, .full(weight), transposeB: true, packed: pass.packed.first?.transposed, packedA: pass.packedInput,
      into: pass.output, adding: addition,
      then: isPlain
        ? .none
        : .activation(
          function, bias: bias, slopes: keptColumns > 0 ? pass.kept.map(Element.stored) : nil, residual: residual))
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let weight = pass.parameters.first, let input = pass.inputs.first else { return 0 }
    let gradient = pass.outputGradient
    let biasGradient = parameters.count > 1 ? pass.parameterGradients.dropFirst().first ?? nil : nil
    let biasSquares = passThroughFunction(pass, biasGradient)
    var weightSquares = 0.0
    if let weightGradient = pass.parameterGradients.first ?? nil {
      weightSquares = pass.compute.multiplyForWeights(
        gradient, input, packed: pass.packedInput, into: weightGradient)
    }
    // dX = dZ W.
    if let inputGradient = pass.inputGradients.first ?? nil {
      pass.compute.multiply(
        gradient, .full(weight), packed: pass.packed.first?.plain, accumulates: inputGradient.accumulates,
        into: inputGradient.view)
    }
    return weightSquares + biasSquares
  }

  /// dZ = dY ⊙ f′ in place, with it the sum over rows that is db, and the residual's gradient, which is dY; returns ‖db‖².
  private func passThroughFunction<Element: ActivationElement>(
    _ pass: BackwardPass<Element>, _ biasGradient: ParameterGradient<Element.Accumulator>?
  ) -> Double {
    let gradient = pass.outputGradient
    let residual = pass.inputGradients.dropFirst().first ?? nil
    guard biasGradient != nil || residual != nil || function != .identity else { return 0 }
    let kept = function.derivativeIsKept ? pass.kept.map(Element.stored) : pass.output
    let sums = ColumnSums(
      rows: gradient.rows, width: gradient.columns, columns: gradient.columns,
      isWanted: biasGradient != nil && !biasIsWithoutEffect)
    let summed = biasGradient != nil && !biasIsWithoutEffect
    pass.workers.perform(pieces: sums.pieces) { [function] piece in
      let rows = sums.rows(ofPiece: piece)
      let columnSums = summed ? sums.sums(ofPiece: piece) : nil
      if function == .identity {
        gradient.rows(rows).copyGradient(
          to: residual?.view.rows(rows), accumulates: residual?.accumulates ?? false, columnSums: columnSums)
      } else {
        gradient.rows(rows).activateBackward(function, kept: kept?.rows(rows), columnSums: columnSums)
      }
    }
    guard let biasGradient else { return 0 }
    let width = gradient.columns
    guard summed else {
      biasGradient.view.base.update(repeating: 0, count: width)
      return 0
    }
    sums.total(0..<width, into: biasGradient.view.base, accumulates: biasGradient.accumulates)
    return Element.Accumulator.sumOfSquares(width, biasGradient.view.base)
  }
}

extension LinearLayer: SampleNormLayer {
  package func addSampleSquares<Element: ActivationElement>(
    _ pass: BackwardPass<Element>, of samples: SampleRows, to squares: PartialSums
  ) {
    guard let weight = parameters.first, weight.isTrained, let input = pass.inputs.first else { return }
    // Its backward pass has left dZ in the output's gradient.
    let gradient = pass.outputGradient.exact
    pass.compute.addProductSquares(gradient, input.exact, of: samples, to: squares)
    if parameters.count > 1, !biasIsWithoutEffect {
      pass.compute.addSumSquares(gradient, of: samples, to: squares)
    }
  }
}

extension Compute {
  /// dW = factor · dZᵀ X over all rows, added to what is there if the gradient accumulates; returns ‖dW‖² as it then stands,
  /// each tile's part taken while it is in cache.
  ///
  /// - Parameter packed: X, by `pack`.
  func multiplyForWeights<Element: FloatingElement>(
    _ gradient: StoredMatrix<Element>, _ input: StoredMatrix<Element>, packed: PackedMatrix? = nil, factor: Double = 1,
    into target: ParameterGradient<Element>
  ) -> Double {
    let weights = target.view
    let squares = PartialSums(count: Self.tiles(m: weights.rows, n: weights.columns, k: gradient.rows))
    multiply(
      gradient, transposeA: true, input, packed: packed, alpha: factor, accumulates: target.accumulates,
      into: .full(weights),
      then: .sumOfSquares(into: squares))
    return squares.total
  }
}

extension ElementwiseFunction {
  init(_ activation: Activation) {
    switch activation {
    case .relu: self = .relu
    case .gelu: self = .gelu
    case .geluTanh: self = .geluTanh
    case .silu: self = .silu
    case .tanh: self = .tanh
    }
  }
}
