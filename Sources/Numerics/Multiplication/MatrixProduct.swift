/// alpha · op(A) op(B): op(A) is m × k and op(B) k × n; A is stored as k × m when `transposeA`.
package struct ProductTerm<Element: TensorElement>: Sendable {
  package let alpha: Double
  package let a: MatrixView<Element>
  package let transposeA: Bool
  package let b: MatrixView<Element>
  package let transposeB: Bool
  /// The packed form of op(B), or of a matrix whose columns from `column` on are op(B).
  let packed: (matrix: PackedMatrix, column: Int)?

  /// - Parameter packed: op(B) as it is now, packed by the library that will multiply; another one reads B.
  package init(
    _ a: MatrixView<Element>, transposeA: Bool = false, _ b: MatrixView<Element>, transposeB: Bool = false,
    packed: PackedMatrix? = nil, alpha: Double = 1
  ) {
    self.init(a, transposeA, b, transposeB, packed: packed.map { ($0, 0) }, alpha: alpha)
  }

  private init(
    _ a: MatrixView<Element>, _ transposeA: Bool, _ b: MatrixView<Element>, _ transposeB: Bool,
    packed: (matrix: PackedMatrix, column: Int)?, alpha: Double
  ) {
    self.alpha = alpha
    self.a = a
    self.transposeA = transposeA
    self.b = b
    self.transposeB = transposeB
    self.packed = packed
  }

  package var rows: Int { transposeA ? a.columns : a.rows }
  package var columns: Int { transposeB ? b.rows : b.columns }
  /// k.
  package var depth: Int { transposeA ? a.rows : a.columns }

  fileprivate var fits: Bool {
    (transposeB ? b.columns : b.rows) == depth
      && packed.map { $0.matrix.depth == depth && $0.column + columns <= $0.matrix.columns } ?? true
  }

  /// The part of the term that a rectangle of the result needs.
  fileprivate func tile(rows: Range<Int>, columns: Range<Int>) -> ProductTerm {
    ProductTerm(
      transposeA ? a.columns(rows) : a.rows(rows), transposeA, transposeB ? b.rows(columns) : b.columns(columns),
      transposeB, packed: packed.map { ($0.matrix, $0.column + columns.lowerBound) }, alpha: alpha)
  }
}

/// What is done to a tile of a product while it is in cache. Matrices are of the product's size, and a tile takes its rectangle of them.
package enum Epilogue<Element: TensorElement>: Sendable {
  case none
  /// C ← residual + f(C + bias) with f′ into `slopes`; `bias` is 1 × n.
  case activation(
    ElementwiseFunction, bias: MatrixView<Element>?, slopes: MatrixView<Element>?, residual: MatrixView<Element>?)
  /// Σ c² of the tile, as number `tile` of `sums`, which has as many as there are tiles.
  case sumOfSquares(into: PartialSums, tile: Int = 0)
  /// C ← C + linear · X + constant · 1; `diagonal` is the column of the first row's diagonal element.
  case polynomial(linear: Double, MatrixView<Element>, constant: Double, diagonal: Int = 0)

  /// Whether there is anything to do.
  var isNeeded: Bool {
    if case .none = self { false } else { true }
  }

  /// Of a rectangle of the product; as tile `index`, or within the same one.
  fileprivate func part(tile index: Int? = nil, rows: Range<Int>, columns: Range<Int>) -> Epilogue {
    switch self {
    case .none: .none
    case .activation(let function, let bias, let slopes, let residual):
      .activation(
        function, bias: bias?.columns(columns), slopes: slopes?.block(rows: rows, columns: columns),
        residual: residual?.block(rows: rows, columns: columns))
    case .sumOfSquares(let sums, let tile): .sumOfSquares(into: sums, tile: index ?? tile)
    case .polynomial(let linear, let x, let constant, let diagonal):
      .polynomial(
        linear: linear, x.block(rows: rows, columns: columns), constant: constant,
        diagonal: diagonal + rows.lowerBound - columns.lowerBound)
    }
  }
}

/// One product as a library gets it: C = term + addition, or C + that, and then the epilogue.
package struct MatrixProduct<Element: TensorElement>: Sendable {
  package let term: ProductTerm<Element>
  /// A second product of C's size.
  package let addition: ProductTerm<Element>?
  /// False overwrites C whatever it held.
  package let accumulates: Bool
  /// m × n.
  package let c: MatrixView<Element>
  package let epilogue: Epilogue<Element>

  package init(
    _ term: ProductTerm<Element>, accumulates: Bool = false, into c: MatrixView<Element>,
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

extension MatrixProduct where Element: FloatingElement {
  /// The epilogue by the elementwise kernels, over a C that holds the sum of the products.
  package func finish() {
    finish(rows: 0..<c.rows, columns: 0..<c.columns, isFirst: true)
  }

  /// The same of one rectangle after another, of which one is the first.
  func finish(rows: Range<Int>, columns: Range<Int>, isFirst: Bool) {
    let c = c.block(rows: rows, columns: columns)
    switch epilogue.part(rows: rows, columns: columns) {
    case .none: break
    case .activation(let function, let bias, let slopes, let residual):
      Element.activate(function, c, bias: bias.map { UnsafePointer($0.base) }, slopes: slopes, residual: residual)
    case .sumOfSquares(let sums, let tile):
      var sum = 0.0
      for row in 0..<c.rows { sum += Element.sumOfSquares(c.columns, c.base + row * c.stride) }
      sums[tile] = isFirst ? sum : sums[tile] + sum
    case .polynomial(let linear, let x, let constant, let diagonal):
      for row in 0..<c.rows {
        let target = c.base + row * c.stride
        Element.combine(c.columns, Element(linear), x.base + row * x.stride, 1, target)
        let column = diagonal + row
        if column >= 0, column < c.columns { target[column] += Element(constant) }
      }
    }
  }

  /// The sum of products as it is defined, element by element: for sizes that a library cannot take, and what libraries are tested
  /// against.
  package func multiplyDirectly() {
    for (number, term) in [term, addition].compactMap(\.self).enumerated() {
      let (a, b, keeps) = (term.a, term.b, accumulates || number > 0)
      for row in 0..<c.rows {
        for column in 0..<c.columns {
          var sum: Element = 0
          for index in 0..<term.depth {
            let left = term.transposeA ? a.base[index * a.stride + row] : a.base[row * a.stride + index]
            let right = term.transposeB ? b.base[column * b.stride + index] : b.base[index * b.stride + column]
            sum += left * right
          }
          let target = c.base + row * c.stride + column
          target.pointee = Element(term.alpha) * sum + (keeps ? target.pointee : 0)
        }
      }
    }
  }
}
