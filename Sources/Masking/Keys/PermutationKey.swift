internal import Models
internal import Numerics

/// A permutation of the coordinates, each perhaps with a sign.
struct PermutationKey<Element: FloatingElement>: SpaceKey {
  private let masking: GatherTable<Element>
  private let unmasking: GatherTable<Element>

  /// - Parameter table: K as it is applied to a vector.
  init(_ table: GatherTable<Element>) {
    masking = table
    unmasking = table.inverse
  }

  var width: Int { masking.width }
  var group: SymmetryGroup { masking.factors == nil ? .permutation : .signedPermutation }

  var magnitudes: (any SpaceKey<Element>)? {
    PermutationKey(GatherTable(sources: masking.sources, factors: nil))
  }

  var movesNumbers: Bool { true }

  func positions(of coordinates: [Int32]) -> [Int32]? {
    guard masking.factors == nil else { return nil }
    return unmasking.sources.withUnsafeBufferPointer { places in
      coordinates.map { $0 < 0 ? $0 : places[Int($0)] }
    }
  }

  func coordinates(at positions: [Int32]) -> [Int32]? {
    guard masking.factors == nil else { return nil }
    return masking.sources.withUnsafeBufferPointer { sources in positions.map { sources[Int($0)] } }
  }

  func transform<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
  ) -> Tensor<Scalar> {
    gather(rows: rows, table(direction), rest: 0, compute)
  }

  func transform<Scalar: FloatingElement>(
    columns: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
  ) -> Tensor<Scalar> {
    let (length, table) = (columns.columns, table(direction))
    var result = Tensor<Scalar>(uninitialized: columns.shape)
    result.withUnsafeMutableBufferPointer { output in
      columns.withUnsafeBufferPointer { input in
        // Safe to share: every piece reads the input and writes rows of its own.
        nonisolated(unsafe) let (input, output) = (input, output)
        forPieces(rows: columns.rows, of: length, compute) { range in
          table.gatherColumns(
            input, length: length, positions: range,
            into: UnsafeMutableBufferPointer(rebasing: output[range.lowerBound * length..<range.upperBound * length]))
        }
      }
    }
    return result
  }

  func mask(inputs: Tensor<Element>, offset: Bool, compute: Compute) -> Tensor<Element> {
    gather(rows: inputs, masking, rest: offset ? 1 : 0, compute)
  }

  @specialized(where Element == Float)
  func mask(inputs: SparseRows<Element>, offset: Bool, compute: Compute) -> Tensor<Element> {
    let width = width
    var masked = Tensor<Element>(zeros: [inputs.rows, width])
    masked.withUnsafeMutableBufferPointer { output in
      unmasking.sources.withUnsafeBufferPointer { positions in
        for row in 0..<inputs.rows {
          if offset { output[row * width + Int(positions[inputs.columns])] = 1 }
          for entry in inputs.starts[row]..<inputs.starts[row + 1] {
            output[row * width + Int(positions[Int(inputs.indices[entry])])] += inputs.values[entry]
          }
        }
      }
      guard let factors = masking.factors else { return }
      factors.withUnsafeBufferPointer { factors in
        for row in 0..<inputs.rows {
          for position in 0..<width { output[row * width + position] *= factors[position] }
        }
      }
    }
    return masked
  }

  private func table(_ direction: KeyDirection) -> GatherTable<Element> {
    switch direction {
    case .mask: masking
    case .unmask: unmasking
    }
  }

  private func gather<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ table: GatherTable<Element>, rest: Scalar, _ compute: Compute
  ) -> Tensor<Scalar> {
    let (count, features, width) = (rows.rows, rows.columns, width)
    var result = Tensor<Scalar>(uninitialized: [count, width])
    result.withUnsafeMutableBufferPointer { output in
      rows.withUnsafeBufferPointer { input in
        // Safe to share: every piece reads the input and writes rows of its own.
        nonisolated(unsafe) let (input, output) = (input, output)
        forPieces(rows: count, of: width, compute) { range in
          table.gatherRows(
            UnsafeBufferPointer(rebasing: input[range.lowerBound * features..<range.upperBound * features]),
            features: features, rest: rest,
            into: UnsafeMutableBufferPointer(rebasing: output[range.lowerBound * width..<range.upperBound * width]))
        }
      }
    }
    return result
  }

  private func forPieces(rows: Int, of width: Int, _ compute: Compute, _ body: @Sendable (Range<Int>) -> Void) {
    let rowsInPiece = max(1, Workers.elementsPerPiece / max(1, width))
    compute.workers.perform(pieces: (rows + rowsInPiece - 1) / rowsInPiece) { piece in
      body(piece * rowsInPiece..<min(rows, (piece + 1) * rowsInPiece))
    }
  }
}

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
