internal import Tensors

/// A signed permutation as it is applied: result[i] = factors[i] · x[sources[i]].
struct GatherTable<Element: FloatingElement>: Sendable {
  /// `[w]`, a permutation of 0 ..< w.
  let sources: SecretTensor<Int32>
  /// `[w]` of ±1; nil when all are +1.
  let factors: SecretTensor<Element>?

  var width: Int { sources.shape[0] }

  /// The table that undoes this one.
  var inverse: GatherTable {
    let sources = sources
    let inverseSources = SecretTensor<Int32>(shape: [width]) { inverse in
      sources.withUnsafeBufferPointer { sources in
        for (position, source) in sources.enumerated() { inverse[Int(source)] = Int32(position) }
      }
    }
    let inverseFactors = factors.map { factors in
      SecretTensor<Element>(shape: [width]) { inverse in
        sources.withUnsafeBufferPointer { sources in
          factors.withUnsafeBufferPointer { factors in
            for (position, source) in sources.enumerated() { inverse[Int(source)] = factors[position] }
          }
        }
      }
    }
    return GatherTable(sources: inverseSources, factors: inverseFactors)
  }

  /// Rows of `features` ≤ w numbers; the coordinates after them count as `rest`, the first, and zeros.
  ///
  /// - Parameter input: `[n, features]`; `output`: `[n, w]`.
  @specialized(where Element == Float, Scalar == Float)
  @specialized(where Element == Float, Scalar == Double)
  @specialized(where Element == Double, Scalar == Double)
  func gatherRows<Scalar: FloatingElement>(
    _ input: UnsafeBufferPointer<Scalar>, features: Int, rest: Scalar, into output: UnsafeMutableBufferPointer<Scalar>
  ) {
    sources.withUnsafeBufferPointer { sources in
      for row in 0..<output.count / width {
        if features == width {
          for position in 0..<width { output[row * width + position] = input[row * width + Int(sources[position])] }
          continue
        }
        for position in 0..<width {
          let source = Int(sources[position])
          let value = source < features ? input[row * features + source] : source == features ? rest : 0
          output[row * width + position] = value
        }
      }
    }
    guard let factors else { return }
    factors.withUnsafeBufferPointer { factors in
      for row in 0..<output.count / width {
        for position in 0..<width { output[row * width + position] *= Scalar(factors[position]) }
      }
    }
  }

  /// Columns of w numbers, `[w, n]` to some rows of `[w, n]`: whole rows move.
  ///
  /// - Parameter output: the rows `positions` of the result.
  @specialized(where Element == Float, Scalar == Float)
  @specialized(where Element == Float, Scalar == Double)
  @specialized(where Element == Double, Scalar == Double)
  func gatherColumns<Scalar: FloatingElement>(
    _ input: UnsafeBufferPointer<Scalar>, length: Int, positions: Range<Int>,
    into output: UnsafeMutableBufferPointer<Scalar>
  ) {
    sources.withUnsafeBufferPointer { sources in
      for position in positions {
        let factor = factors.map { factors in Scalar(factors.withUnsafeBufferPointer { $0[position] }) } ?? 1
        let source = Int(sources[position]) * length
        let target = (position - positions.lowerBound) * length
        for column in 0..<length { output[target + column] = factor * input[source + column] }
      }
    }
  }
}
