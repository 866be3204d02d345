import Testing

@testable import Numerics

/// Kernels over activations of 16 bits: the bits of the same kernel over `Float`, rounded once.
@Suite struct BFloat16KernelTests {
  private static let (rows, columns) = (5, 70)

  /// The same numbers, all of which 16 bits hold, in both formats.
  private struct Pair {
    let narrow: MatrixBuffer<BFloat16>
    let full: MatrixBuffer<Float>

    init(_ rows: Int = BFloat16KernelTests.rows, _ columns: Int = BFloat16KernelTests.columns, seed: UInt64) {
      var state = seed
      narrow = MatrixBuffer(rows: rows, columns: columns)
      full = MatrixBuffer(rows: rows, columns: columns)
      for index in 0..<narrow.count { narrow.elements[index] = BFloat16(PackedProduct.Numbers.moderate.next(&state)) }
      narrow.view.widen(into: full.view)
    }

    func agree(_ name: String) {
      #expect(narrow.elements.map(\.bitPattern) == full.elements.map { BFloat16($0).bitPattern }, "\(name)")
    }
  }

  private func vector(_ count: Int, seed: UInt64) -> [Float] {
    var state = seed
    return (0..<count).map { _ in PackedProduct.Numbers.moderate.next(&state) }
  }

  @Test(arguments: ElementwiseFunction.allCases) func functionsAndTheirGradients(_ function: ElementwiseFunction) {
    let bias = vector(Self.columns, seed: 1)
    // A tile is in floats whatever is stored beside it.
    let (first, second) = (Pair(seed: 2), Pair(seed: 2))
    let (slopes, residual) = (Pair(seed: 3), Pair(seed: 4))
    BFloat16.activate(
      function, first.full.view, bias: bias, slopes: function.derivativeIsKept ? slopes.narrow.view : nil,
      residual: residual.narrow.view)
    Float.activate(
      function, second.full.view, bias: bias, slopes: function.derivativeIsKept ? slopes.full.view : nil,
      residual: residual.full.view)
    #expect(Array(first.full.elements) == Array(second.full.elements))
    slopes.agree("slopes")
    let (gradient, kept) = (Pair(seed: 5), Pair(seed: 6))
    var sums = [[Double]](repeating: [Double](repeating: .nan, count: Self.columns), count: 2)
    BFloat16.activateBackward(function, gradient.narrow.view, kept: kept.narrow.view, columnSums: &sums[0])
    Float.activateBackward(function, gradient.full.view, kept: kept.full.view, columnSums: &sums[1])
    gradient.agree("gradient")
    // Sums are of what is stored.
    let stored = (0..<Self.columns).map { column in
      (0..<Self.rows).reduce(0.0) { $0 + Double(gradient.narrow.elements[$1 * Self.columns + column].widened) }
    }
    #expect(sums[0] == stored)
  }

  @Test(arguments: [false, true]) func gradientsThatAreHandedOn(_ accumulates: Bool) {
    let (gradient, copy) = (Pair(seed: 1), Pair(seed: 2))
    var sums = [[Double]](repeating: [Double](repeating: .nan, count: Self.columns), count: 2)
    BFloat16.copyGradient(
      gradient.narrow.view, to: copy.narrow.view, accumulates: accumulates, columnSums: &sums[0])
    Float.copyGradient(gradient.full.view, to: copy.full.view, accumulates: accumulates, columnSums: &sums[1])
    copy.agree("copy")
    #expect(sums[0] == sums[1])
    let (row, sum) = (Pair(1, 70, seed: 3), Pair(1, 70, seed: 4))
    BFloat16.writeScaled(70, 0.3, row.narrow.view.base, into: sum.narrow.view.base, accumulates: accumulates)
    Float.writeScaled(70, 0.3, row.full.view.base, into: sum.full.view.base, accumulates: accumulates)
    sum.agree("scaled")
    #expect(BFloat16.sumOfSquares(70, row.narrow.view.base) == Float.sumOfSquares(70, row.full.view.base))
  }

  @Test(arguments: [false, true]) func gates(_ accumulates: Bool) {
    let (gate, up, y, gradient) = (Pair(seed: 1), Pair(seed: 2), Pair(seed: 3), Pair(seed: 4))
    BFloat16.gate(gate.narrow.view, up.narrow.view, into: y.narrow.view)
    Float.gate(gate.full.view, up.full.view, into: y.full.view)
    y.agree("gate")
    let (first, second) = (Pair(seed: 5), Pair(seed: 6))
    BFloat16.gateBackward(
      gradient.narrow.view, gate: gate.narrow.view, up: up.narrow.view, gateGradient: first.narrow.view,
      gateAccumulates: accumulates, upGradient: second.narrow.view, upAccumulates: accumulates)
    Float.gateBackward(
      gradient.full.view, gate: gate.full.view, up: up.full.view, gateGradient: first.full.view,
      gateAccumulates: accumulates, upGradient: second.full.view, upAccumulates: accumulates)
    first.agree("gate's gradient")
    second.agree("up's gradient")
  }

  @Test(arguments: [false, true]) func norms(_ accumulates: Bool) {
    let (gain, shift) = (vector(Self.columns, seed: 1), vector(Self.columns, seed: 2))
    let (x, y, gradient) = (Pair(seed: 3), Pair(seed: 4), Pair(seed: 5))
    let statistics = (
      MatrixBuffer<Float>(rows: Self.rows, columns: 2), MatrixBuffer<Float>(rows: Self.rows, columns: 2)
    )
    BFloat16.layerNorm(
      x.narrow.view, gain: gain, shift: shift, epsilon: 1e-5, into: y.narrow.view, statistics: statistics.0.view)
    Float.layerNorm(
      x.full.view, gain: gain, shift: shift, epsilon: 1e-5, into: y.full.view, statistics: statistics.1.view)
    y.agree("layer norm")
    #expect(Array(statistics.0.elements) == Array(statistics.1.elements))
    let target = Pair(seed: 6)
    var sums = [[Double]](repeating: [Double](repeating: .nan, count: 2 * Self.columns), count: 2)
    BFloat16.layerNormBackward(
      gradient.narrow.view, x: x.narrow.view, statistics: statistics.0.view, gain: gain, xGradient: target.narrow.view,
      accumulates: accumulates, columnSums: &sums[0])
    Float.layerNormBackward(
      gradient.full.view, x: x.full.view, statistics: statistics.1.view, gain: gain, xGradient: target.full.view,
      accumulates: accumulates, columnSums: &sums[1])
    target.agree("layer norm's gradient")
    #expect(sums[0] == sums[1])
  }

  @Test(arguments: [false, true]) func rootMeanSquareNorms(_ accumulates: Bool) {
    let (x, y, gradient, target) = (Pair(seed: 3), Pair(seed: 4), Pair(seed: 5), Pair(seed: 6))
    let scales = (MatrixBuffer<Float>(rows: Self.rows, columns: 1), MatrixBuffer<Float>(rows: Self.rows, columns: 1))
    BFloat16.rootMeanSquareNorm(x.narrow.view, epsilon: 1e-5, into: y.narrow.view, scales: scales.0.view)
    Float.rootMeanSquareNorm(x.full.view, epsilon: 1e-5, into: y.full.view, scales: scales.1.view)
    y.agree("norm")
    #expect(Array(scales.0.elements) == Array(scales.1.elements))
    // From what was stored.
    y.narrow.view.widen(into: y.full.view)
    BFloat16.rootMeanSquareNormBackward(
      gradient.narrow.view, y: y.narrow.view, scales: scales.0.view, xGradient: target.narrow.view,
      accumulates: accumulates)
    Float.rootMeanSquareNormBackward(
      gradient.full.view, y: y.full.view, scales: scales.1.view, xGradient: target.full.view, accumulates: accumulates)
    target.agree("norm's gradient")
  }

  /// A norm whose argument stays in floats: the float's kernel, of which the result alone is rounded; and back, from gradients of 16 bits to such as
  /// are not rounded.
  @Test(arguments: [false, true]) func normsOfFloats(_ accumulates: Bool) {
    let (gain, shift) = (vector(Self.columns, seed: 1), vector(Self.columns, seed: 2))
    let x = vector(Self.rows * Self.columns, seed: 3)
    #expect(x.contains { BFloat16($0).widened != $0 })
    var argument = x
    let (y, gradient) = (Pair(seed: 4), Pair(seed: 5))
    let statistics = MatrixBuffer<Float>(rows: Self.rows, columns: 2)
    let scales = MatrixBuffer<Float>(rows: Self.rows, columns: 1)
    let targets = (0..<2).map { _ in Pair(seed: 6).full }
    argument.withUnsafeMutableBufferPointer { elements in
      guard let base = elements.baseAddress else { return }
      let x = StoredMatrix<Float>.full(MatrixView(base, rows: Self.rows, columns: Self.columns))
      func gradients(
        _ norm: (_ gradient: StoredMatrix<Float>, _ y: StoredMatrix<Float>, _ into: StoredMatrix<Float>) -> Void
      ) {
        norm(.narrow(gradient.narrow.view), .narrow(y.narrow.view), .full(targets[0].view))
        norm(.full(gradient.full.view), .full(y.full.view), .full(targets[1].view))
        #expect(Array(targets[0].elements) == Array(targets[1].elements))
        #expect(targets[0].elements.contains { BFloat16($0).widened != $0 })
      }
      for y in [StoredMatrix<Float>.narrow(y.narrow.view), .full(y.full.view)] {
        x.layerNorm(gain: gain, shift: shift, epsilon: 1e-5, into: y, statistics: statistics.view)
      }
      y.agree("layer norm")
      var sums = [[Double]]()
      gradients { gradient, _, target in
        var found = [Double](repeating: .nan, count: 2 * Self.columns)
        gradient.layerNormBackward(
          x: x, statistics: statistics.view, gain: gain, xGradient: target, accumulates: accumulates, columnSums: &found
        )
        sums.append(found)
      }
      #expect(sums[0] == sums[1])
      for y in [StoredMatrix<Float>.narrow(y.narrow.view), .full(y.full.view)] {
        x.rootMeanSquareNorm(epsilon: 1e-5, into: y, scales: scales.view)
      }
      y.agree("norm")
      y.narrow.view.widen(into: y.full.view)
      gradients { gradient, y, target in
        gradient.rootMeanSquareNormBackward(y: y, scales: scales.view, xGradient: target, accumulates: accumulates)
      }
    }
  }

  @Test(arguments: [false, true]) func positionsAndAverages(_ accumulates: Bool) {
    let half = 5
    let angles = (vector(half, seed: 1), vector(half, seed: 2))
    func factors(_ angles: [Float]) -> [Double] {
      let scaled = angles.map { Double($0) / 16 }
      return scaled.map { (1 - $0 * $0).squareRoot() } + scaled
    }
    let (x, y) = (Pair(1, 70, seed: 3), Pair(1, 70, seed: 4))
    BFloat16.rotate(
      heads: 7, half: half, x.narrow.view.base, coarse: factors(angles.0), fine: factors(angles.1), reverses: true,
      into: y.narrow.view.base, accumulates: accumulates)
    Float.rotate(
      heads: 7, half: half, x.full.view.base, coarse: factors(angles.0), fine: factors(angles.1), reverses: true,
      into: y.full.view.base, accumulates: accumulates)
    y.agree("turned")
    let (all, mean) = (Pair(seed: 5), Pair(1, Self.columns, seed: 6))
    BFloat16.averageRows(all.narrow.view, into: mean.narrow.view.base)
    Float.averageRows(all.full.view, into: mean.full.view.base)
    mean.agree("average")
  }
}
