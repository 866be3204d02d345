/// What matrices are multiplied with: threads, a library and a precision. A value that is handed to whoever multiplies; there is none for
/// the whole process.
package struct Compute: Sendable {
  package let workers: Workers
  package let library: any ProductLibrary
  package let precision: ProductPrecision

  /// - Parameter library: nil takes OpenBLAS for `.full`, and otherwise this project's kernels on the best path of this processor.
  package init(workers: Workers, library: (any ProductLibrary)? = nil, precision: ProductPrecision = .full) {
    self.workers = workers
    self.library = library ?? (precision == .full ? OpenBLAS() : PackedKernels())
    self.precision = precision
  }

  package init(threads: Int) {
    self.init(workers: Workers(threads: threads))
  }

  /// C = alpha · op(A) op(B), or C + that, and then the epilogue, in tiles of C shared among the workers.
  ///
  /// Each of the three may be narrow where `precision` is `.bfloat16`; C is then rounded once, after its epilogue.
  /// op(A) is m × k, op(B) k × n, C m × n; the views' own shapes are those before transposition. C may be neither A nor B. Result bits
  /// depend on the sizes, the library and the processor, not on the number of threads.
  /// - Parameters:
  ///   - packed: op(B) as it is now, by `pack`.
  ///   - packedA: A as it is now, by `pack`; nothing where A is transposed.
  ///   - accumulates: false overwrites C whatever it held.
  ///   - addition: a second product of the size of C, added to a tile before its epilogue.
  @specialized(where A == Float, B == Float, C == Float)
  @specialized(where A == Double, B == Double, C == Double)
  package func multiply<A: ActivationElement, B: ActivationElement, C: ActivationElement>(
    _ a: MatrixView<A>, transposeA: Bool = false, _ b: MatrixView<B>, transposeB: Bool = false,
    packed: PackedMatrix? = nil, alpha: Double = 1, accumulates: Bool = false, into c: MatrixView<C>,
    adding addition: ProductTerm<C.Accumulator>? = nil, then epilogue: Epilogue<C.Accumulator> = .none
  ) where A.Accumulator == C.Accumulator, B.Accumulator == C.Accumulator {
    multiply(
      A.stored(a), transposeA: transposeA, B.stored(b), transposeB: transposeB, packed: packed, alpha: alpha,
      accumulates: accumulates, into: C.stored(c), adding: addition, then: epilogue)
  }

  /// The same of matrices that are each stored in either format.
  @specialized(where Element == Float)
  @specialized(where Element == Double)
  package func multiply<Element: FloatingElement>(
    _ a: StoredMatrix<Element>, transposeA: Bool = false, _ b: StoredMatrix<Element>, transposeB: Bool = false,
    packed: PackedMatrix? = nil, packedA: PackedRows? = nil, alpha: Double = 1, accumulates: Bool = false,
    into c: StoredMatrix<Element>, adding addition: ProductTerm<Element>? = nil,
    then epilogue: Epilogue<Element> = .none
  ) {
    let product = MatrixProduct(
      ProductTerm(a, transposeA: transposeA, b, transposeB: transposeB, packed: packed, packedA: packedA, alpha: alpha),
      accumulates: accumulates, into: c, adding: addition, then: epilogue)
    product.checkSizes()
    let partition = TilePartition(m: c.rows, n: c.columns, k: product.term.depth)
    workers.perform(pieces: partition.count) { index in
      let tile = partition.tile(index)
      Element.multiply(product.tile(index, rows: tile.rows, columns: tile.columns), precision, with: library)
    }
  }

  /// The same as one call on the calling thread: for those who share out work themselves.
  @specialized(where A == Float, B == Float, C == Float)
  @specialized(where A == Double, B == Double, C == Double)
  package func multiplyOnCallingThread<A: ActivationElement, B: ActivationElement, C: ActivationElement>(
    _ a: MatrixView<A>, transposeA: Bool = false, _ b: MatrixView<B>, transposeB: Bool = false,
    packed: PackedMatrix? = nil, alpha: Double = 1, accumulates: Bool = false, into c: MatrixView<C>
  ) where A.Accumulator == C.Accumulator, B.Accumulator == C.Accumulator {
    let product = MatrixProduct(
      ProductTerm(a, transposeA: transposeA, b, transposeB: transposeB, packed: packed, alpha: alpha),
      accumulates: accumulates, into: c)
    product.checkSizes()
    C.Accumulator.multiply(product, precision, with: library)
  }

  /// Tiles that a product of these sizes is cut into: as many numbers as `Epilogue.sumOfSquares` writes.
  package static func tiles(m: Int, n: Int, k: Int) -> Int {
    TilePartition(m: m, n: n, k: k).count
  }
}

/// How exactly numbers are multiplied in single precision; double precision is always exact to its rounding.
package enum ProductPrecision: Sendable {
  /// Operands as they are, sums in their format.
  case full
  /// Operands rounded to bfloat16, sums in single precision.
  case bfloat16
  /// Operands as the sums of two bfloat16 numbers, which hold 16 bits of them, and of the four products the three largest, in single
  /// precision. Where that takes longer than products of single precision, as it does without AMX, it is computed as `full`.
  case bfloat16x3
}

/// Who computes products, in both formats; each a file of its own that wraps a library or own code.
///
/// Bits depend on sizes and path alone: never on which thread calls, nor on what was computed before.
package protocol ProductLibrary: Sendable {
  /// A product, usually a tile of a larger one, with its epilogue, on the calling thread. A library that cannot compute the epilogue along
  /// with the product calls `MatrixProduct.finish` after it. Sizes are any non-negative numbers.
  func multiply(_ product: MatrixProduct<Float>, _ precision: ProductPrecision)
  func multiply(_ product: MatrixProduct<Double>, _ precision: ProductPrecision)

  /// How operands of this library's products may be packed before; nil if it has no use for packed ones.
  func packedForm(_ precision: ProductPrecision) -> PackedForm?
}

extension ProductLibrary {
  package func packedForm(_ precision: ProductPrecision) -> PackedForm? { nil }
}

extension Float {
  package static func multiply(
    _ product: MatrixProduct<Float>, _ precision: ProductPrecision, with library: any ProductLibrary
  ) {
    library.multiply(product, precision)
  }
}

extension Double {
  package static func multiply(
    _ product: MatrixProduct<Double>, _ precision: ProductPrecision, with library: any ProductLibrary
  ) {
    library.multiply(product, precision)
  }
}
