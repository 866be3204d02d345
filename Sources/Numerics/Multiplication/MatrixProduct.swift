/// alpha · op(A) op(B): op(A) is m × k and op(B) k × n; A is stored as k × m when `transposeA`.
package struct ProductTerm<Element: FloatingElement>: Sendable {
  package let alpha: Double
  package let a: StoredMatrix<Element>
  package let transposeA: Bool
  package let b: StoredMatrix<Element>
  package let transposeB: Bool
  /// The packed form of op(B), or of a matrix whose columns from `column` on are op(B).
  let packed: (matrix: PackedMatrix, column: Int)?
  /// The packed form of A, or of a matrix whose rows from `row` on are A.
  let packedRows: (matrix: PackedRows, row: Int)?

  /// - Parameter packed: op(B) as it is now, packed by the library that will multiply; another one reads B.
  package init<A: ActivationElement, B: ActivationElement>(
    _ a: MatrixView<A>, transposeA: Bool = false, _ b: MatrixView<B>, transposeB: Bool = false,
    packed: PackedMatrix? = nil, alpha: Double = 1
  ) where A.Accumulator == Element, B.Accumulator == Element {
    self.init(
      A.stored(a), transposeA: transposeA, B.stored(b), transposeB: transposeB, packed: packed, alpha: alpha)
  }

  package init(
    _ a: StoredMatrix<Element>, transposeA: Bool = false, _ b: StoredMatrix<Element>, transposeB: Bool = false,
    packed: PackedMatrix? = nil, packedA: PackedRows? = nil, alpha: Double = 1
  ) {
    self.init(
      a, transposeA, b, transposeB, packed: packed.map { ($0, 0) },
      packedRows: transposeA ? nil : packedA.map { ($0, 0) }, alpha: alpha)
  }

  private init(
    _ a: StoredMatrix<Element>, _ transposeA: Bool, _ b: StoredMatrix<Element>, _ transposeB: Bool,
    packed: (matrix: PackedMatrix, column: Int)?, packedRows: (matrix: PackedRows, row: Int)?, alpha: Double
  ) {
    self.alpha = alpha
    self.a = a
    self.transposeA = transposeA
    self.b = b
    self.transposeB = transposeB
    self.packed = packed
    self.packedRows = packedRows
  }

  package var rows: Int { transposeA ? a.columns : a.rows }
  package var columns: Int { transposeB ? b.rows : b.columns }
  /// k.
  package var depth: Int { transposeA ? a.rows : a.columns }

  fileprivate var fits: Bool {
    (transposeB ? b.columns : b.rows) == depth
      && packed.map { $0.matrix.depth == depth && $0.column + columns <= $0.matrix.columns } ?? true
      && packedRows.map { $0.matrix.depth == depth && $0.row + rows <= $0.matrix.rows } ?? true
  }

  /// The part of the term that a rectangle of the result needs.
  fileprivate func tile(rows: Range<Int>, columns: Range<Int>) -> ProductTerm {
    ProductTerm(
      transposeA ? a.columns(rows) : a.rows(rows), transposeA, transposeB ? b.rows(columns) : b.columns(columns),
      transposeB, packed: packed.map { ($0.matrix, $0.column + columns.lowerBound) },
      packedRows: packedRows.map { ($0.matrix, $0.row + rows.lowerBound) }, alpha: alpha)
  }
}

/// What is done to a tile of a product while it is in cache. Matrices are of the product's size, and a tile takes its rectangle of them.
package enum Epilogue<Element: FloatingElement>: Sendable {
  case none
  case activation(ActivationEpilogue<Element>)
  /// Σ c² of the tile, as number `tile` of `sums`, which has as many as there are tiles.
  case sumOfSquares(into: PartialSums, tile: Int = 0)
  /// C ← C + linear · X + constant · 1; `diagonal` is the column of the first row's diagonal element.
  case polynomial(linear: Double, MatrixView<Element>, constant: Double, diagonal: Int = 0)

  /// C ← residual + f(C + bias) with f′ into `slopes`; `bias` is 1 × n.
  package static func activation<Kept: ActivationElement>(
    _ function: ElementwiseFunction, bias: MatrixView<Element>?, slopes: MatrixView<Kept>?,
    residual: MatrixView<Kept>?
  ) -> Epilogue where Kept.Accumulator == Element {
    .activation(
      ActivationEpilogue(
        function: function, bias: bias, slopes: slopes.map(Kept.stored), residual: residual.map(Kept.stored)))
  }

  /// The same of what may be stored in either format, both alike.
  package static func activation(
    _ function: ElementwiseFunction, bias: MatrixView<Element>?, slopes: StoredMatrix<Element>?,
    residual: StoredMatrix<Element>?
  ) -> Epilogue {
    .activation(ActivationEpilogue(function: function, bias: bias, slopes: slopes, residual: residual))
  }

  /// Whether there is anything to do.
  var isNeeded: Bool {
    if case .none = self { false } else { true }
  }

  /// Of a rectangle of the product; as tile `index`, or within the same one.
  fileprivate func part(tile index: Int? = nil, rows: Range<Int>, columns: Range<Int>) -> Epilogue {
    switch self {
    case .none: .none
    case .activation(let activation): .activation(activation.part(rows: rows, columns: columns))
    case .sumOfSquares(let sums, let tile): .sumOfSquares(into: sums, tile: index ?? tile)
    case .polynomial(let linear, let x, let constant, let diagonal):
      .polynomial(
        linear: linear, x.block(rows: rows, columns: columns), constant: constant,
        diagonal: diagonal + rows.lowerBound - columns.lowerBound)
    }
  }
}

/// `Epilogue.activation`.
package struct ActivationEpilogue<Element: FloatingElement>: Sendable {
  fileprivate let function: ElementwiseFunction
  fileprivate let bias: MatrixView<Element>?
  /// Both are stored alike.
  fileprivate let slopes: StoredMatrix<Element>?
  fileprivate let residual: StoredMatrix<Element>?

  fileprivate func part(rows: Range<Int>, columns: Range<Int>) -> ActivationEpilogue {
    ActivationEpilogue(
      function: function, bias: bias?.columns(columns), slopes: slopes?.block(rows: rows, columns: columns),
      residual: residual?.block(rows: rows, columns: columns))
  }

  fileprivate func finish(_ tile: MatrixView<Element>) {
    let bias = bias.map { UnsafePointer($0.base) }
    if case .narrow = slopes ?? residual {
      Element.Narrow.activate(function, tile, bias: bias, slopes: slopes?.narrow, residual: residual?.narrow)
    } else {
      Element.activate(function, tile, bias: bias, slopes: slopes?.full, residual: residual?.full)
    }
  }
}

/// One product as a library gets it: C = term + addition, or C + that, and then the epilogue.
package struct MatrixProduct<Element: FloatingElement>: Sendable {
  package let term: ProductTerm<Element>
  /// A second product of C's size.
  package let addition: ProductTerm<Element>?
  /// False overwrites C whatever it held.
  package let accumulates: Bool
  /// m × n. Where it is narrow, the sum and its epilogue are in the wider format, and what comes of them is rounded once.
  package let c: StoredMatrix<Element>
  package let epilogue: Epilogue<Element>

  package init<C: ActivationElement>(
    _ term: ProductTerm<Element>, accumulates: Bool = false, into c: MatrixView<C>,
    adding addition: ProductTerm<Element>? = nil, then epilogue: Epilogue<Element> = .none
  ) where C.Accumulator == Element {
    self.init(term, accumulates: accumulates, into: C.stored(c), adding: addition, then: epilogue)
  }

  package init(
    _ term: ProductTerm<Element>, accumulates: Bool = false, into c: StoredMatrix<Element>,
    adding addition: ProductTerm<Element>? = nil, then epilogue: Epilogue<Element> = .none
  ) {
    self.term = term
    self.addition = addition
    self.accumulates = accumulates
    self.c = c
    self.epilogue = epilogue
  }

  /// Views of another size than C's would be read beyond their end.
  func checkSizes() {
    func matches(_ term: ProductTerm<Element>) -> Bool {
      term.fits && term.rows == c.rows && term.columns == c.columns
    }
    precondition(
      matches(term) && addition.map(matches) ?? true,
      "matrices do not fit: \(term.a.rows)×\(term.a.columns), \(term.b.rows)×\(term.b.columns) into \(c.rows)×\(c.columns)"
    )
  }

  func tile(_ index: Int, rows: Range<Int>, columns: Range<Int>) -> MatrixProduct {
    MatrixProduct(
      term.tile(rows: rows, columns: columns), accumulates: accumulates, into: c.block(rows: rows, columns: columns),
      adding: addition?.tile(rows: rows, columns: columns),
      then: epilogue.part(tile: index, rows: rows, columns: columns))
  }
}

extension MatrixProduct {
  /// The epilogue by the elementwise kernels, over a rectangle of C that holds the sum of the products in `tile`.
  ///
  /// - Parameter isFirst: of one rectangle after another of this product one is.
  func finish(_ tile: MatrixView<Element>, rows: Range<Int>, columns: Range<Int>, isFirst: Bool) {
    switch epilogue.part(rows: rows, columns: columns) {
    case .none: break
    case .activation(let activation): activation.finish(tile)
    case .sumOfSquares(let sums, let number):
      var sum = 0.0
      for row in 0..<tile.rows { sum += Element.sumOfSquares(tile.columns, tile.base + row * tile.stride) }
      sums[number] = isFirst ? sum : sums[number] + sum
    case .polynomial(let linear, let x, let constant, let diagonal):
      for row in 0..<tile.rows {
        let target = tile.base + row * tile.stride
        Element.combine(tile.columns, Element(linear), x.base + row * x.stride, 1, target)
        let column = diagonal + row
        if column >= 0, column < tile.columns { target[column] += Element(constant) }
      }
    }
  }

  /// The same over all of a C that is not narrow and holds the sum of the products.
  package func finish() {
    guard case .full(let c) = c else { preconditionFailure("the sum is not in the format of the result") }
    finish(c, rows: 0..<c.rows, columns: 0..<c.columns, isFirst: true)
  }

  /// The sum of products as it is defined, element by element: for sizes that a library cannot take, and what libraries are tested
  /// against. C is not narrow.
  package func multiplyDirectly() {
    guard case .full(let c) = c else { preconditionFailure("the sum is not in the format of the result") }
    for (number, term) in [term, addition].compactMap(\.self).enumerated() {
      let (a, b, keeps) = (term.a, term.b, accumulates || number > 0)
      for row in 0..<c.rows {
        for column in 0..<c.columns {
          var sum: Element = 0
          for index in 0..<term.depth {
            sum +=
              (term.transposeA ? a[index, row] : a[row, index])
              * (term.transposeB ? b[column, index] : b[index, column])
          }
          let target = c.base + row * c.stride + column
          target.pointee = Element(term.alpha) * sum + (keeps ? target.pointee : 0)
        }
      }
    }
  }
}
