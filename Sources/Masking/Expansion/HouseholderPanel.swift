internal import Tensors

/// A run of Householder reflections H_c = 1 − v vᵀ (‖v‖² = 2) as one block, H_c ⋯ H_{c+p−1} = 1 − V T Vᵀ.
///
/// The v of reflection c has zeros before coordinate c; the panel keeps coordinates from its first reflection on. Drawn
/// and inverted in Double, kept in `Element`.
struct HouseholderPanel<Element: FloatingElement>: Sendable {
  /// Coordinate of the first reflection.
  let start: Int
  /// Vᵀ, `[p, n − start]`, zeros before its diagonal.
  let vectors: SecretTensor<Element>
  /// T, `[p, p]`, upper triangular.
  let triangle: SecretTensor<Element>

  /// p.
  var count: Int { vectors.shape[0] }
  /// n − start.
  var length: Int { vectors.shape[1] }

  /// Draws the reflections that the QR of a Gaussian matrix would need for `columns`: what the earlier reflections leave of
  /// column c from its diagonal down is again Gaussian, of length n − c and independent of all before (Stewart, "The
  /// efficient generation of random orthogonal matrices", 1980, §3).
  ///
  /// - Parameter stream: the numbers of one column, so that a column does not depend on how they are cut into panels.
  init(columns: Range<Int>, of width: Int, stream: (_ column: Int) -> KeyStream) {
    start = columns.lowerBound
    let (count, length) = (columns.count, width - columns.lowerBound)
    let drawn = SecretTensor<Double>(shape: [count, length]) { vectors in
      vectors.update(repeating: 0)
      for index in 0..<count {
        let tail = UnsafeMutableBufferPointer(rebasing: vectors[(index * length + index)..<((index + 1) * length)])
        stream(columns.lowerBound + index).fillGaussian(tail)
        Self.makeReflector(tail)
      }
    }
    vectors = drawn.converted()
    // From the rounded vectors, so that their rounding costs no orthogonality.
    triangle = Self.triangle(of: vectors.converted()).converted()
  }

  /// The diagonal of the matrix that makes R's diagonal positive, without which Q would depend on the sign convention of
  /// the reflections and not be Haar (Mezzadri 2007, §5): reflection c maps x to −sign(x₀) ‖x‖ e₀, and v₀ has x₀'s sign.
  func sign(_ index: Int) -> Element {
    vectors.withUnsafeBufferPointer { $0[index * length + index] < 0 ? 1 : -1 }
  }

  /// Replaces x by the v of the reflection that maps x to a multiple of e₀: x + sign(x₀) ‖x‖ e₀, scaled to ‖v‖² = 2.
  private static func makeReflector(_ x: UnsafeMutableBufferPointer<Double>) {
    let squaredNorm = x.reduce(0) { $0 + $1 * $1 }
    guard squaredNorm > 0 else {
      // Only if every draw was exactly 0; any direction serves.
      x[0] = 2.squareRoot()
      return
    }
    let norm = squaredNorm.squareRoot()
    let first = x[0] + (x[0] < 0 ? -norm : norm)
    // ‖v‖² = ‖x‖² − x₀² + v₀² = 2 ‖x‖ |v₀|
    let scale = 1 / (norm * abs(first)).squareRoot()
    x[0] = first
    for index in x.indices { x[index] *= scale }
  }

  /// T⁻¹ + T⁻ᵀ = VᵀV makes 1 − V T Vᵀ orthogonal (Puglisi 1992): T⁻¹ is VᵀV above the diagonal and half of it on the diagonal.
  /// Inverted column by column.
  private static func triangle(of vectors: SecretTensor<Double>) -> SecretTensor<Double> {
    let (count, length) = (vectors.shape[0], vectors.shape[1])
    let gram = SecretTensor<Double>(shape: [count, count]) { gram in
      vectors.withUnsafeBufferPointer { vectors in
        guard let v = vectors.baseAddress, let gram = gram.baseAddress else { return }
        Double.multiply(
          transposeA: false, transposeB: true, m: count, n: count, k: length, alpha: 1, a: v, leadingA: length, b: v,
          leadingB: length, beta: 0, c: gram, leadingC: count)
      }
    }
    return SecretTensor(shape: [count, count]) { triangle in
      triangle.update(repeating: 0)
      gram.withUnsafeBufferPointer { gram in
        for column in 0..<count {
          let diagonal = 2 / gram[column * count + column]
          triangle[column * count + column] = diagonal
          for row in 0..<column {
            var sum = 0.0
            for inner in row..<column { sum += triangle[row * count + inner] * gram[inner * count + column] }
            triangle[row * count + column] = -diagonal * sum
          }
        }
      }
    }
  }
}
