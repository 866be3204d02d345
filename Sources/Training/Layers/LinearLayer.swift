package import Architecture
package import Tensors

/// y = f(x Wᵀ + b), W out × in, f an elementwise function or none.
///
/// B batch rows. The function is a part of the layer so that bias, function and derivative cost one pass over memory
/// each, and most of the forward one happens while a tile of the product is still in cache.
package struct LinearLayer: Layer {
  package let name: String
  package let parameters: [ParameterSpecification]
  package let constraints: [SpaceConstraint]
  package let inputs: [Int]
  package let output: Int
  package let keptColumns: Int
  private let function: ElementwiseFunction

  /// - Parameter homogeneous: set when `source` is [x; 1; 0_k]; the bias is then a column of the weight, under the name
  ///   the plaintext checkpoint has it by, and the layer has no bias parameter.
  init(
    name: String, from input: Int, _ source: ModelValue, to output: Int, _ target: ModelValue,
    homogeneous: HomogeneousColumns?, activation: Activation?
  ) {
    self.name = name
    inputs = [input]
    self.output = output
    let biasName = "\(name).bias"
    let weight = ParameterSpecification(
      name: "\(name).weight", shape: [target.width, source.width], rows: target.space, columns: source.space,
      homogeneous: homogeneous, biasName: homogeneous == nil ? nil : biasName)
    let bias = ParameterSpecification(name: biasName, shape: [target.width], rows: target.space, columns: nil)
    parameters = homogeneous == nil ? [weight, bias] : [weight]
    constraints = [
      SpaceConstraint(space: source.space, largest: .orthogonal, reason: "linear in of \(name)"),
      activation.map {
        SpaceConstraint(space: target.space, largest: $0.largestGroup, reason: "\($0.rawValue) after \(name)")
      } ?? SpaceConstraint(space: target.space, largest: .orthogonal, reason: "linear out of \(name)"),
    ]
    function = activation.map(ElementwiseFunction.init) ?? .identity
    keptColumns = function.derivativeNeedsArgument ? target.width : 0
  }

  package func forward<Element: FloatingElement>(_ pass: ForwardPass<Element>) {
    guard let weight = pass.parameters.first, let input = pass.inputs.first else { return }
    let bias = pass.parameters.count > 1 ? pass.parameters.last : nil
    let (output, kept, function) = (pass.output, pass.kept, function)
    if bias == nil && function == .identity {
      pass.workers.matrixMultiply(input, weight, transposeB: true, into: output)
      return
    }
    pass.workers.matrixMultiply(input, weight, transposeB: true, into: output) { _, rows, columns in
      Element.activate(
        function, output.block(rows: rows, columns: columns), bias: bias.map { $0.base + columns.lowerBound },
        argument: kept?.block(rows: rows, columns: columns))
    }
  }

  package func backward<Element: FloatingElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let weight = pass.parameters.first, let input = pass.inputs.first,
      let weightGradient = (pass.parameterGradients.first ?? nil)?.view
    else { return 0 }
    let biasGradient = pass.parameterGradients.count > 1 ? (pass.parameterGradients.last ?? nil)?.view : nil
    // dZ = dY ⊙ f′ in place, and db with it.
    let gradient = pass.outputGradient
    let kept = function.derivativeNeedsArgument ? pass.kept : pass.output
    if let biasGradient {
      let width = Self.columnsAPiece(rows: gradient.rows)
      pass.workers.perform(pieces: (gradient.columns + width - 1) / width) { [function] piece in
        let columns = piece * width..<min(gradient.columns, (piece + 1) * width)
        let rows = 0..<gradient.rows
        Element.activateBackward(
          function, gradient.block(rows: rows, columns: columns), kept: kept?.block(rows: rows, columns: columns),
          columnSums: biasGradient.base + columns.lowerBound)
      }
    } else if function != .identity {
      let height = max(1, Workers.elementsAPiece / max(1, gradient.columns))
      pass.workers.perform(pieces: (gradient.rows + height - 1) / height) { [function] piece in
        let rows = piece * height..<min(gradient.rows, (piece + 1) * height)
        Element.activateBackward(function, gradient.rows(rows), kept: kept?.rows(rows), columnSums: nil)
      }
    }
    // dW = dZᵀ X over all rows of the batch, each tile's sum of squares while it is in cache.
    let tiles = Workers.matrixMultiplyTiles(m: weightGradient.rows, n: weightGradient.columns, k: gradient.rows)
    let squares = PartialSums(count: tiles)
    pass.workers.matrixMultiply(gradient, transposeA: true, input, into: weightGradient) { tile, rows, columns in
      var sum = 0.0
      for row in rows {
        sum += Element.sumOfSquares(
          columns.count, weightGradient.base + row * weightGradient.stride + columns.lowerBound)
      }
      squares[tile] = sum
    }
    // dX = dZ W.
    if let inputGradient = pass.inputGradients.first ?? nil {
      pass.workers.matrixMultiply(
        gradient, weight, beta: inputGradient.accumulates ? 1 : 0, into: inputGradient.view)
    }
    return squares.total + (biasGradient.map { Element.sumOfSquares($0.count, $0.base) } ?? 0)
  }

  /// Columns of a piece whose sums over all rows are taken at once: at least enough for long runs in memory.
  private static func columnsAPiece(rows: Int) -> Int {
    max(256, (Workers.elementsAPiece / max(1, rows) + 63) / 64 * 64)
  }
}

extension ElementwiseFunction {
  init(_ activation: Activation) {
    switch activation {
    case .relu: self = .relu
    case .gelu: self = .gelu
    case .geluTanh: self = .gelu
    case .silu: self = .silu
    case .tanh: self = .tanh
    }
  }
}
