import Numerics
import Testing

/// Decompositions multiply back to the matrix; rounding is about n · 2⁻⁵³ of its norm, here below 1e-12.
@Suite struct DecompositionTests {
  private let compute = Compute(threads: 2)

  private func matrix(_ rows: Int, _ columns: Int) -> Tensor<Double> {
    Tensor((0..<rows * columns).map { Double(($0 * 7919 + 13) % 101) / 50 - 1 }, shape: [rows, columns])
  }

  private func largestDifference(_ a: Tensor<Double>, _ b: Tensor<Double>) -> Double {
    zip(a.elements, b.elements).map { abs($0 - $1) }.max() ?? 0
  }

  @Test(arguments: [(5, 3), (3, 5), (40, 40), (1, 4)])
  func singularValuesMultiplyBack(_ rows: Int, _ columns: Int) throws {
    let a = matrix(rows, columns)
    let found = try SingularValues(of: a)
    let rank = min(rows, columns)
    #expect(found.left.shape == [rows, rank])
    #expect(found.right.shape == [rank, columns])
    #expect(found.values == found.values.sorted(by: >))
    var scaled = found.left
    for index in 0..<scaled.count { scaled[index] *= found.values[index % rank] }
    #expect(largestDifference(scaled.times(found.right, compute: compute), a) < 1e-12)
  }

  @Test func eigenvectorsMultiplyBack() throws {
    let half = matrix(30, 12)
    let a = half.times(half, transposed: true, compute: compute)
    let found = try SymmetricEigenvectors(of: a)
    #expect(found.values == found.values.sorted())
    var scaled = found.vectors
    for index in 0..<scaled.count { scaled[index] *= found.values[index / 12] }
    #expect(largestDifference(found.vectors.times(scaled, transposed: true, compute: compute), a) < 1e-11)
    let gram = found.vectors.times(found.vectors, otherTransposed: true, compute: compute)
    for row in 0..<12 {
      for column in 0..<12 { #expect(abs(gram[row * 12 + column] - (row == column ? 1 : 0)) < 1e-12) }
    }
  }

  /// Of U diag(σ) Vᵀ with U, V turns by known angles the nearest isometry is U Vᵀ, a turn by the sum.
  @Test func nearestIsometryOfAStretchedTurn() throws {
    let turned = Tensor([0.6, -0.8, 0.8, 0.6], shape: [2, 2])
    let stretched = Tensor([0.6 * 3, -0.8 * 2, 0.8 * 3, 0.6 * 2], shape: [2, 2])
    let nearest = try SingularValues(of: stretched).nearestIsometry(tolerance: 1e-9, compute: compute)
    #expect(largestDifference(nearest, turned) < 1e-15)
  }

  @Test func aMatrixWithNaNHasNoDecomposition() {
    var a = matrix(4, 4)
    a[5] = .nan
    #expect(throws: DecompositionError.self) { try SingularValues(of: a) }
  }

  @Test func productsOfTransposes() {
    let (a, b) = (matrix(3, 4), matrix(4, 2))
    let plain = a.times(b, compute: compute)
    #expect(largestDifference(a.transposed.times(b, transposed: true, compute: compute), plain) < 1e-15)
    #expect(largestDifference(a.times(b.transposed, otherTransposed: true, compute: compute), plain) < 1e-15)
    #expect(abs(plain[0] - (0..<4).reduce(0) { $0 + a[$1] * b[$1 * 2] }) < 1e-15)
    #expect(a.firstColumns(2).elements == [a[0], a[1], a[4], a[5], a[8], a[9]])
  }
}
