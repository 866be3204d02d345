import Models
import Numerics

/// Momentum, then for matrices the nearest-orthogonal direction by five Newton–Schulz steps
/// (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"); vectors take the plain direction.
///
/// r × c the matrix, s = min(r, c). The polynomial acts on singular values only, so P·G·Qᵀ gives P·X·Qᵀ.
final class Muon<Element: FloatingElement>: Optimizer {
  let state: [OptimizerStateTensor<Element>]
  private let description: OptimizerDescription
  private let parameters: [ParameterSpecification]
  private let scratch: MuonScratch<Element>

  static func statePrefixes(_ description: OptimizerDescription) -> [String] { ["momentum"] }

  static func scratchElements(_ parameters: [ParameterSpecification]) -> Int? {
    MuonScratch<Element>.elementCount(parameters)
  }

  init(_ description: OptimizerDescription, _ parameters: [ParameterSpecification]) {
    self.description = description
    self.parameters = parameters
    state = description.makeState(for: parameters)
    scratch = MuonScratch(parameters)
  }

  func update(
    _ index: Int, parameter: MatrixBuffer<Element>, gradient: MatrixBuffer<Element>, _ settings: UpdateSettings,
    compute: Compute
  ) {
    let direction = scratch.directions(rows: parameter.rows, columns: parameter.columns)
    let squares = momentum(index, gradient, into: direction.first, clip: settings.clip, workers: compute.workers)
    var update = direction.first
    var scale = 1.0
    if parameters[index].shape.count == 2 {
      let factor = Element(1 / (squares.squareRoot() + 1e-7))
      compute.workers.performOverElements(parameter.count) { range in
        Element.scale(range.count, direction.first.base + range.lowerBound, by: factor)
      }
      update = orthogonalize(direction.first, spare: direction.second, compute: compute)
      scale = 0.2 * Double(parameters[index].longerSide).squareRoot()
    }
    let (weights, step) = (parameter.view, update)
    let (rate, factor) = (Element(settings.learningRate), Element(scale))
    let decay = Element(description.weightDecay)
    compute.workers.performOverElements(parameter.count) { range in
      Element.decoupledStep(
        range.count, weights: weights.base + range.lowerBound, direction: step.base + range.lowerBound, rate: rate,
        scale: factor, decay: decay)
    }
  }

  /// buf ← μ·buf + g, u = g + μ·buf; returns ‖u‖².
  private func momentum(
    _ index: Int, _ gradient: MatrixBuffer<Element>, into direction: MatrixView<Element>, clip: Double, workers: Workers
  ) -> Double {
    let (gradients, buffer) = (gradient.view, state[index].buffer.view)
    let (clip, momentum) = (Element(clip), Element(description.momentum))
    return workers.sumOverElements(gradient.count) { range in
      let first = range.lowerBound
      return Element.nesterovDirection(
        range.count, gradient: gradients.base + first, buffer: buffer.base + first, direction: direction.base + first,
        clip: clip, momentum: momentum)
    }
  }

  /// Five times X ← 3.4445 X + (−4.7750 XXᵀ + 2.0315 (XXᵀ)²) X. With more rows than columns the same polynomial of XᵀX
  /// stands on the right, which is the transposed definition without transposing. Returns whichever of the two views
  /// holds the result.
  private func orthogonalize(
    _ start: MatrixView<Element>, spare: MatrixView<Element>, compute: Compute
  ) -> MatrixView<Element> {
    let tall = start.rows > start.columns
    let side = min(start.rows, start.columns)
    let (gram, polynomial) = scratch.grams(side: side)
    var (current, next) = (start, spare)
    for _ in 0..<5 {
      compute.multiply(current, transposeA: tall, current, transposeB: !tall, into: gram)
      // 2.0315 G² − 4.7750 G + 3.4445 I, finished tile by tile, so that one product with X is left.
      compute.multiply(
        gram, gram, alpha: 2.0315, into: polynomial, then: .polynomial(linear: -4.7750, gram, constant: 3.4445))
      if tall {
        compute.multiply(current, polynomial, into: next)
      } else {
        compute.multiply(polynomial, current, into: next)
      }
      swap(&current, &next)
    }
    return current
  }
}

extension ParameterSpecification {
  /// max(rows, columns), where a homogeneous matrix counts as [W | b]: its padding columns are zero in plaintext.
  fileprivate var longerSide: Int {
    let columns = homogeneous.map { $0.features + 1 } ?? shape.last ?? 1
    return max(shape.first ?? 1, columns)
  }
}

/// Memory for Newton–Schulz steps on the largest parameter; smaller ones use the front of it.
struct MuonScratch<Element: FloatingElement> {
  private let direction: MatrixBuffer<Element>
  private let product: MatrixBuffer<Element>
  private let gram: MatrixBuffer<Element>
  private let polynomial: MatrixBuffer<Element>

  init(_ parameters: [ParameterSpecification]) {
    let sizes = Self.sizes(parameters)
    direction = MatrixBuffer(rows: 1, columns: sizes.matrix)
    product = MatrixBuffer(rows: 1, columns: sizes.matrix)
    gram = MatrixBuffer(rows: 1, columns: sizes.square)
    polynomial = MatrixBuffer(rows: 1, columns: sizes.square)
  }

  /// Elements of the largest parameter and of the largest s × s, each needed twice.
  static func sizes(_ parameters: [ParameterSpecification]) -> (matrix: Int, square: Int) {
    let shapes = parameters.map(\.bufferShape)
    return (
      shapes.map { $0.rows * $0.columns }.max() ?? 0,
      shapes.map { min($0.rows, $0.columns) }.map { $0 * $0 }.max() ?? 0
    )
  }

  /// Elements of all four buffers; nil when the count overflows.
  static func elementCount(_ parameters: [ParameterSpecification]) -> Int? {
    let sizes = sizes(parameters)
    return Shape.sum([sizes.matrix, sizes.matrix, sizes.square, sizes.square])
  }

  func directions(rows: Int, columns: Int) -> (first: MatrixView<Element>, second: MatrixView<Element>) {
    (
      MatrixView(direction.view.base, rows: rows, columns: columns),
      MatrixView(product.view.base, rows: rows, columns: columns)
    )
  }

  func grams(side: Int) -> (gram: MatrixView<Element>, polynomial: MatrixView<Element>) {
    (
      MatrixView(gram.view.base, rows: side, columns: side),
      MatrixView(polynomial.view.base, rows: side, columns: side)
    )
  }
}
