import Cryptography
import Numerics
import Testing

@testable import Masking

@Suite struct HaarExpansionTests {
  private func columns(_ seed: String) -> @Sendable (Int) -> KeyStream {
    KeyStream(secret: Array(seed.utf8), label: "columns").substreams()
  }

  /// K, row-major.
  private func key(_ width: Int, _ seed: String, threads: Int = 1) -> NaiveMatrix {
    let expansion = HaarExpansion<Double>(width: width, workers: Workers(threads: threads))
    let transposed = expansion.transposedKey(stream: columns(seed))
    return NaiveMatrix(rows: width, columns: width, transposed.withUnsafeBufferPointer { Array($0) }).transposed
  }

  /// The matrix whose QR meets these Gaussian vectors: column c is [u; x_c] under the reflections of the columns before it.
  /// Orthonormalised one column after the other (Gram–Schmidt twice, R's diagonal positive), it must give K.
  @Test(arguments: [1, 2, 3, 63, 64, 65, 129, 200])
  func equalsTheOrthogonalFactorOfTheGaussianMatrix(width: Int) {
    let stream = columns("qr")
    var reflectors: [[Double]] = []
    var basis: [[Double]] = []
    for column in 0..<width {
      var vector = [Double](repeating: 0, count: width)
      var tail = [Double](repeating: 0, count: width - column)
      tail.withUnsafeMutableBufferPointer { stream(column).fillGaussian($0) }
      // What the QR has above the diagonal is free; small, so that R is well conditioned.
      for row in 0..<column { vector[row] = 0.01 * Double((row * 7 + column * 3) % 11 - 5) }
      for row in column..<width { vector[row] = tail[row - column] }
      for reflector in reflectors.reversed() { reflect(&vector, reflector) }
      var v = [Double](repeating: 0, count: width)
      let norm = tail.reduce(0) { $0 + $1 * $1 }.squareRoot()
      for row in column..<width { v[row] = tail[row - column] }
      v[column] += tail[0] < 0 ? -norm : norm
      reflectors.append(v)
      for _ in 0..<2 {
        for unit in basis {
          let projection = zip(unit, vector).reduce(0) { $0 + $1.0 * $1.1 }
          for row in 0..<width { vector[row] -= projection * unit[row] }
        }
      }
      let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
      basis.append(vector.map { $0 / length })
    }
    let key = key(width, "qr")
    // Each of at most 200 reflections adds a rounding of a few 1e-16 to a vector of norm at most ‖R‖ ≈ 15, and the last
    // columns of R are as short as one Gaussian number, here over 1e-3: 200 · 1e-15 · 15 / 1e-3.
    for column in 0..<width {
      for row in 0..<width { #expect(abs(key[row, column] - basis[column][row]) < 3e-9) }
    }
  }

  private func reflect(_ vector: inout [Double], _ v: [Double]) {
    let factor = 2 * zip(v, vector).reduce(0) { $0 + $1.0 * $1.1 } / v.reduce(0) { $0 + $1 * $1 }
    for row in vector.indices { vector[row] -= factor * v[row] }
  }

  /// A product of n reflections applied in rounding u departs from orthogonality by a modest multiple of n u at most
  /// (Higham, Accuracy and Stability, Lemma 19.3, whose constant is small); an entry by less: 8 · 300 · 2⁻⁵³ ≈ 3e-13.
  @Test(arguments: [1, 2, 64, 127, 128, 129, 300]) func isOrthogonalToRounding(width: Int) {
    let key = key(width, "orthogonal")
    let product = key.transposed * key
    for row in 0..<width {
      for column in 0..<width { #expect(abs(product[row, column] - (row == column ? 1 : 0)) < 3e-13) }
    }
  }

  /// In Float the same bound with u = 2⁻²⁴: 8 · 300 · 2⁻²⁴ ≈ 1.5e-4 in the worst case; rounding errors add up as a random walk,
  /// √300 in place of 300: 1e-5.
  @Test func isOrthogonalToSinglePrecisionInFloat() {
    let width = 300
    let transposed = HaarExpansion<Float>(width: width, workers: Workers(threads: 2))
      .transposedKey(stream: columns("single"))
    let key = NaiveMatrix(rows: width, columns: width, transposed.withUnsafeBufferPointer { $0.map(Double.init) })
    let product = key * key.transposed
    for row in 0..<width {
      for column in 0..<width { #expect(abs(product[row, column] - (row == column ? 1 : 0)) < 1e-5) }
    }
  }

  @Test func hasTheSameBitsForAnyNumberOfThreads() {
    let one = key(300, "threads")
    #expect(one.elements == key(300, "threads", threads: 2).elements)
    #expect(one.elements == key(300, "threads", threads: 5).elements)
  }

  /// For Haar on O(n): E q = 0, E q² = 1/n, E q⁴ = 3/(n(n+2)), E q⁸ = 105/(n(n+2)(n+4)(n+6)); E tr = 0, E tr² = 1, and E tr⁴ = 3 for n ≥ 4;
  /// both determinants equally often. Without the signs of R's diagonal, q₀₀ would always have one sign and the
  /// determinant would be (−1)ⁿ. Means over m draws, five standard deviations; seeds are fixed.
  @Test func isHaarDistributed() {
    let (width, draws) = (4, 1500)
    let n = Double(width)
    var corner: [Double] = []
    var traces: [Double] = []
    var determinants = 0
    for draw in 0..<draws {
      let key = key(width, "haar \(draw)")
      corner.append(key[0, 0])
      traces.append((0..<width).reduce(0) { $0 + key[$1, $1] })
      determinants += key.determinant > 0 ? 1 : -1
    }
    func mean(_ values: [Double], power: Int) -> Double {
      values.reduce(0) { sum, value in sum + (0..<power).reduce(1) { product, _ in product * value } } / Double(draws)
    }
    let limit = 5 / Double(draws).squareRoot()
    let fourth = 3 / (n * (n + 2))
    let eighth = 105 / (n * (n + 2) * (n + 4) * (n + 6))
    #expect(abs(mean(corner, power: 1)) < limit * (1 / n).squareRoot())
    #expect(abs(mean(corner, power: 2) - 1 / n) < limit * (fourth - 1 / (n * n)).squareRoot())
    #expect(abs(mean(corner, power: 4) - fourth) < limit * (eighth - fourth * fourth).squareRoot())
    #expect(abs(mean(traces, power: 1)) < limit)
    #expect(abs(mean(traces, power: 2) - 1) < limit * 2.0.squareRoot())
    #expect(abs(Double(determinants)) < 5 * Double(draws).squareRoot())
  }
}
