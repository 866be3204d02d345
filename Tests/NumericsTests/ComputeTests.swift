import Testing

@testable import Numerics

/// Products with an addition and an epilogue beside plain loops, in shapes of one tile and of several.
@Suite struct ComputeTests {
  struct Sizes: Sendable {
    let m: Int
    let n: Int
    let k: Int
  }

  static let sizes = [Sizes(m: 5, n: 7, k: 3), Sizes(m: 520, n: 300, k: 64), Sizes(m: 40, n: 2100, k: 130)]

  /// Small integers, so that sums are exact in any order.
  private static func integers(_ rows: Int, _ columns: Int, seed: Int) -> MatrixBuffer<Double> {
    let buffer = MatrixBuffer<Double>(rows: rows, columns: columns)
    for index in 0..<buffer.count { buffer.elements[index] = Double((index * 7 + seed * 3 + index / 5) % 9 - 4) }
    return buffer
  }

  private static func product(_ a: MatrixBuffer<Double>, _ b: MatrixBuffer<Double>, alpha: Double) -> [Double] {
    let c = MatrixBuffer<Double>(rows: a.rows, columns: b.columns)
    MatrixProduct(ProductTerm(a.view, b.view, alpha: alpha), into: c.view).multiplyDirectly()
    return Array(c.elements)
  }

  @Test func largeSizesHaveSeveralTiles() {
    #expect(Self.sizes.map { Compute.tiles(m: $0.m, n: $0.n, k: $0.k) > 1 } == [false, true, true])
  }

  /// residual + relu(a b + 3 c d + bias) with its result where the product was, and the derivative of silu beside it.
  @Test(arguments: sizes) func activationOfASumOfProducts(_ sizes: Sizes) {
    let (a, b) = (Self.integers(sizes.m, sizes.k, seed: 1), Self.integers(sizes.k, sizes.n, seed: 2))
    let (c, d) = (Self.integers(sizes.m, 2, seed: 3), Self.integers(2, sizes.n, seed: 4))
    let (bias, residual) = (Self.integers(1, sizes.n, seed: 5), Self.integers(sizes.m, sizes.n, seed: 6))
    let sums = zip(Self.product(a, b, alpha: 1), Self.product(c, d, alpha: 3)).map(+)
    for threads in [1, 3] {
      let compute = Compute(threads: threads)
      let y = MatrixBuffer<Double>(rows: sizes.m, columns: sizes.n)
      compute.multiply(
        a.view, b.view, into: y.view, adding: ProductTerm(c.view, d.view, alpha: 3),
        then: .activation(.relu, bias: bias.view, slopes: nil, residual: residual.view))
      let expected = sums.indices.map { max(0, sums[$0] + bias.elements[$0 % sizes.n]) + residual.elements[$0] }
      #expect(Array(y.elements) == expected)

      let slopes = MatrixBuffer<Double>(rows: sizes.m, columns: sizes.n)
      compute.multiply(
        a.view, b.view, into: y.view, then: .activation(.silu, bias: bias.view, slopes: slopes.view, residual: nil))
      // The same kernel over the whole matrix: tiles change no bit of it.
      let whole = MatrixBuffer<Double>(rows: sizes.m, columns: sizes.n)
      let wholeSlopes = MatrixBuffer<Double>(rows: sizes.m, columns: sizes.n)
      for (index, value) in Self.product(a, b, alpha: 1).enumerated() { whole.elements[index] = value }
      Double.activate(
        .silu, whole.view, bias: bias.view.base, slopes: wholeSlopes.view, residual: nil)
      #expect(Array(y.elements) == Array(whole.elements))
      #expect(Array(slopes.elements) == Array(wholeSlopes.elements))
    }
  }

  @Test(arguments: sizes) func sumOfSquaresOfWhatStandsAfterwards(_ sizes: Sizes) {
    let (a, b) = (Self.integers(sizes.m, sizes.k, seed: 1), Self.integers(sizes.k, sizes.n, seed: 2))
    let c = Self.integers(sizes.m, sizes.n, seed: 3)
    let squares = PartialSums(count: Compute.tiles(m: sizes.m, n: sizes.n, k: sizes.k))
    let expected = zip(Self.product(a, b, alpha: 2), c.elements).map(+)
    Compute(threads: 2).multiply(
      a.view, b.view, alpha: 2, accumulates: true, into: c.view, then: .sumOfSquares(into: squares))
    #expect(Array(c.elements) == expected)
    // Integers below 2^53.
    #expect(squares.total == expected.reduce(0) { $0 + $1 * $1 })
  }

  @Test(arguments: [4, 300, 700]) func polynomialHasItsConstantOnTheDiagonalAlone(_ side: Int) {
    let x = Self.integers(side, side, seed: 1)
    let y = MatrixBuffer<Double>(rows: side, columns: side)
    Compute(threads: 2).multiply(
      x.view, x.view, alpha: 2, into: y.view, then: .polynomial(linear: -3, x.view, constant: 5))
    let square = Self.product(x, x, alpha: 2)
    let expected = square.indices.map {
      square[$0] - 3 * x.elements[$0] + ($0 / side == $0 % side ? 5 : 0)
    }
    #expect(Array(y.elements) == expected)
  }

  /// Twice what the loops give.
  private struct Doubling: ProductLibrary {
    func multiply(_ product: MatrixProduct<Float>, _ precision: ProductPrecision) {
      product.multiplyDirectly()
      product.finish()
    }

    func multiply(_ product: MatrixProduct<Double>, _ precision: ProductPrecision) {
      product.multiplyDirectly()
      guard let c = product.c.full else { return }
      for row in 0..<c.rows {
        for column in 0..<c.columns { c.base[row * c.stride + column] *= 2 }
      }
      product.finish()
    }
  }

  /// In tiles and on the calling thread.
  @Test func theLibraryGivenMultiplies() {
    let compute = Compute(workers: Workers(threads: 2), library: Doubling())
    let (a, b) = (Self.integers(40, 30, seed: 1), Self.integers(30, 20, seed: 2))
    let expected = Self.product(a, b, alpha: 2)
    let y = MatrixBuffer<Double>(rows: 40, columns: 20)
    compute.multiply(a.view, b.view, into: y.view)
    #expect(Array(y.elements) == expected)
    y.elements.update(repeating: .nan)
    compute.multiplyOnCallingThread(a.view, b.view, into: y.view)
    #expect(Array(y.elements) == expected)
    #expect(
      Tensor(a.elements, shape: [40, 30]).times(Tensor(b.elements, shape: [30, 20]), compute: compute).elements
        == expected)
  }
}

@Suite struct TensorTests {
  @Test func aCopyIsIndependent() {
    let original = Tensor<Float>([1, 2, 3, 4], shape: [2, 2])
    var copy = original
    copy[1, 0] = 9
    #expect(original.elements == [1, 2, 3, 4])
    #expect(copy.elements == [1, 2, 9, 4])
  }

  @Test func bytesOutliveTheTensorAndAreNotChangedByIt() {
    var tensor = Tensor<Int32>([1, 2], shape: [2])
    let bytes = tensor.bytes
    tensor[0] = 7
    #expect([UInt8](bytes) == [1, 0, 0, 0, 2, 0, 0, 0])
    #expect(Tensor<Int32>(bytes: bytes, shape: [2])?.elements == [1, 2])
  }

  @Test func bytesOfAnotherSizeAreRefused() {
    let bytes = Tensor<Int32>([1, 2], shape: [2]).bytes
    #expect(Tensor<Int32>(bytes: bytes, shape: [3]) == nil)
    #expect(Tensor<Int32>(bytes: bytes, shape: [-2]) == nil)
  }

  @Test func elementCountsThatOverflowAreNil() {
    #expect(Shape.elementCount([1 << 40, 1 << 40]) == nil)
    #expect(Shape.byteCount([1 << 62], .float64) == nil)
    #expect(Shape.byteCount([3, 5], .float64) == 120)
  }
}
