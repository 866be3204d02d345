internal import Models
internal import Numerics

/// Heads in secret order, each turned by its group's orthogonal matrix: K = P diag(R_g(0), R_g(1), …).
///
/// Signed permutations of the heads' coordinates need no type of their own: with the order of the heads they are one
/// permutation of all coordinates (`HeadsExpansion.table`).
struct HeadsKey<Element: FloatingElement>: SpaceKey {
  /// `[heads]`: which head goes to each place.
  private let sources: SecretTensor<Int32>
  /// R_gᵀ, one under another: `[groups · headWidth, headWidth]`.
  private let transposed: SecretTensor<Element>
  private let headsInGroup: Int
  private let headWidth: Int

  /// - Parameters:
  ///   - sources: a permutation of 0 ..< heads.
  ///   - transposed: R_gᵀ of each group, `[groups · headWidth, headWidth]`; groups divide the heads, which are grouped in order.
  init(sources: SecretTensor<Int32>, transposed: SecretTensor<Element>) {
    self.sources = sources
    self.transposed = transposed
    headWidth = transposed.shape[1]
    headsInGroup = sources.shape[0] / (transposed.shape[0] / headWidth)
  }

  private var heads: Int { sources.shape[0] }
  var width: Int { heads * headWidth }
  var group: SymmetryGroup { .orthogonal }
  var magnitudes: (any SpaceKey<Element>)? { nil }
  var movesNumbers: Bool { false }

  func positions(of coordinates: [Int32]) -> [Int32]? { nil }

  func coordinates(at positions: [Int32]) -> [Int32]? { nil }

  func transform<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
  ) -> Tensor<Scalar> {
    // A fixed partition: a tile of 512 rows is one GEMM call per head.
    transform(rows: rows, direction, rowsInTile: 512, compute)
  }

  private func transform<Scalar: FloatingElement>(
    rows: Tensor<Scalar>, _ direction: KeyDirection, rowsInTile: Int, _ compute: Compute
  ) -> Tensor<Scalar> {
    let (count, width, headWidth) = (rows.rows, width, headWidth)
    var result = Tensor<Scalar>(uninitialized: rows.shape)
    result.withUnsafeMutableBufferPointer { output in
      rows.withUnsafeBufferPointer { input in
        guard let input = input.baseAddress, let output = output.baseAddress else { return }
        withHeads(direction) { (moves: [Move<Scalar>]) in
          // Safe to share: every piece reads the input and writes rows of its own.
          nonisolated(unsafe) let (x, y, moves) = (input, output, moves)
          compute.workers.perform(pieces: (count + rowsInTile - 1) / rowsInTile) { piece in
            let start = piece * rowsInTile
            for move in moves {
              let height = min(rowsInTile, count - start)
              compute.multiplyOnCallingThread(
                MatrixView(
                  reading: x + start * width + move.source * headWidth, rows: height, columns: headWidth, stride: width),
                MatrixView(reading: move.matrix, rows: headWidth, columns: headWidth), transposeB: direction == .unmask,
                into: MatrixView(
                  y + start * width + move.target * headWidth, rows: height, columns: headWidth, stride: width))
            }
          }
        }
      }
    }
    return result
  }

  func transform<Scalar: FloatingElement>(
    columns: Tensor<Scalar>, _ direction: KeyDirection, compute: Compute
  ) -> Tensor<Scalar> {
    let (length, headWidth) = (columns.columns, headWidth)
    var result = Tensor<Scalar>(uninitialized: columns.shape)
    result.withUnsafeMutableBufferPointer { output in
      columns.withUnsafeBufferPointer { input in
        guard let input = input.baseAddress, let output = output.baseAddress else { return }
        withHeads(direction) { (moves: [Move<Scalar>]) in
          // Safe to share: every piece reads the input and writes a head of its own.
          nonisolated(unsafe) let (x, y, moves) = (input, output, moves)
          compute.workers.perform(pieces: moves.count) { piece in
            let move = moves[piece]
            compute.multiplyOnCallingThread(
              MatrixView(reading: move.matrix, rows: headWidth, columns: headWidth), transposeA: direction == .mask,
              MatrixView(reading: x + move.source * headWidth * length, rows: headWidth, columns: length),
              into: MatrixView(y + move.target * headWidth * length, rows: headWidth, columns: length))
          }
        }
      }
    }
    return result
  }

  func mask(inputs: Tensor<Element>, offset: Bool, compute: Compute) -> Tensor<Element> {
    let whole = IdentityKey<Element>(width: width).mask(inputs: inputs, offset: offset, compute: compute)
    return transform(rows: whole, .mask, compute: compute)
  }

  /// One row at a time, because the bits of a product depend on the rows in it.
  func mask(inputs: SparseRows<Element>, offset: Bool, compute: Compute) -> Tensor<Element> {
    let whole = IdentityKey<Element>(width: width).mask(inputs: inputs, offset: offset, compute: compute)
    return transform(rows: whole, .mask, rowsInTile: 1, compute)
  }

  /// A head on its way: where it comes from, where it goes, and its Rᵀ.
  private struct Move<Scalar> {
    let source: Int
    let target: Int
    let matrix: UnsafePointer<Scalar>
  }

  /// One move for each head, with the matrices in the tensor's format; valid during `body`.
  private func withHeads<Scalar: FloatingElement>(_ direction: KeyDirection, _ body: ([Move<Scalar>]) -> Void) {
    let matrices: SecretTensor<Scalar> = transposed.converted()
    matrices.withUnsafeBufferPointer { matrices in
      guard let base = matrices.baseAddress else { return }
      sources.withUnsafeBufferPointer { sources in
        body(
          sources.enumerated().map { place, source in
            let head = Int(source)
            return Move(
              source: direction == .mask ? head : place, target: direction == .mask ? place : head,
              matrix: base + head / headsInGroup * headWidth * headWidth)
          })
      }
    }
  }
}
