import Numerics

/// Norms of sums over a sample's rows, from the rows.
///
/// Products are in double precision, whatever the rows' format: where the rows of a sample cancel, rounding in single precision could make a norm
/// too small, and the sample would not be clipped enough. On top comes what rounding may add to the sample's share of the gradient, which is
/// summed in the format.
extension Compute {
  /// Rows or columns of a sample that are in memory at once.
  private static var blockRows: Int { 64 }

  /// Adds (factor · ‖Σ_t g_t x_tᵀ‖)² over the rows t of each sample: ‖g‖²‖x‖² for one row; for more from the product itself or
  /// Σ⟨x_s, x_t⟩⟨g_s, g_t⟩, whichever takes less, and with the bound of what rounding adds to the norm.
  func addProductSquares<Element: ActivationElement>(
    _ gradient: MatrixView<Element>, _ input: MatrixView<Element>, factor: Double = 1, of samples: SampleRows,
    to squares: PartialSums
  ) {
    let (inner, outer) = (input.columns, gradient.columns)
    let block = Self.blockRows
    let scratch = samples.longest > 1 ? 2 * block * (max(inner, outer) + block) : 0
    samples.forEach(workers, scratch: scratch, of: Double.self) { sample, memory in
      let rows = samples.range(ofSample: sample)
      func lengths(_ row: Int) -> Double {
        Element.sumOfSquares(inner, input.base + row * input.stride)
          * Element.sumOfSquares(outer, gradient.base + row * gradient.stride)
      }
      let square: Double
      if rows.count == 1 {
        square = lengths(rows.lowerBound)
      } else {
        let isShort = rows.count * (inner + outer) < 2 * inner * outer
        let exact =
          isShort
          ? gramSquare(gradient.rows(rows), input.rows(rows), memory)
          : directSquare(gradient.rows(rows), input.rows(rows), memory)
        let sizes = rows.reduce(0) { $0 + lengths($1).squareRoot() }
        square = Self.square(exact, rounding: rows.count, Element.self, sizes)
      }
      squares[sample] += factor * factor * square
    }
  }

  /// (√square + bound)²: a sum of T terms in the format, each rounded once before for the scale, is off by at most (T + 2) u times the sum of
  /// their sizes (Higham, 2002, section 3.1), u half a unit in the last place of 1.
  private static func square<Element: ActivationElement>(
    _ square: Double, rounding terms: Int, _: Element.Type, _ sizes: Double
  ) -> Double {
    let norm = square.squareRoot() + Double(terms + 2) * Double(Element.Accumulator.ulpOfOne) / 2 * sizes
    return norm * norm
  }

  /// Adds ‖Σ_t g_t‖² over the rows t of each sample, with the bound of what rounding adds to the norm.
  func addSumSquares<Element: ActivationElement>(
    _ gradient: MatrixView<Element>, of samples: SampleRows, to squares: PartialSums
  ) {
    let width = gradient.columns
    samples.forEach(workers, scratch: width, of: Double.self) { sample, sums in
      sums.update(repeating: 0, count: width)
      let rows = samples.range(ofSample: sample)
      var sizes = 0.0
      for row in rows {
        let source = gradient.base + row * gradient.stride
        for column in 0..<width { sums[column] += Double(source[column].widened) }
        if rows.count > 1 { sizes += Element.sumOfSquares(width, source).squareRoot() }
      }
      squares[sample] += Self.square(Double.sumOfSquares(width, sums), rounding: rows.count, Element.self, sizes)
    }
  }

  private static func blocks(of count: Int) -> StrideTo<Int> { stride(from: 0, to: count, by: blockRows) }

  private static func block(from first: Int, of count: Int) -> Range<Int> { first..<min(count, first + blockRows) }

  /// ‖gᵀ x‖², some rows of the product at a time.
  private func directSquare<Element: ActivationElement>(
    _ gradient: MatrixView<Element>, _ input: MatrixView<Element>, _ memory: UnsafeMutablePointer<Double>
  ) -> Double {
    var sum = 0.0
    for first in Self.blocks(of: gradient.columns) {
      let columns = Self.block(from: first, of: gradient.columns)
      let product = MatrixView(memory, rows: columns.count, columns: input.columns)
      let rest = memory + product.count
      for first in Self.blocks(of: input.rows) {
        let rows = Self.block(from: first, of: input.rows)
        let gradients = gradient.block(rows: rows, columns: columns).doubled(at: rest)
        let inputs = input.rows(rows).doubled(at: rest + gradients.count)
        multiplyOnCallingThread(gradients, transposeA: true, inputs, accumulates: first > 0, into: product)
      }
      sum += Double.sumOfSquares(product.count, memory)
    }
    return sum
  }

  /// The same as Σ⟨x_s, x_t⟩⟨g_s, g_t⟩, pairs with s in one block and t in the same or a later one at a time.
  private func gramSquare<Element: ActivationElement>(
    _ gradient: MatrixView<Element>, _ input: MatrixView<Element>, _ memory: UnsafeMutablePointer<Double>
  ) -> Double {
    var sum = 0.0
    for first in Self.blocks(of: input.rows) {
      let block = Self.block(from: first, of: input.rows)
      for second in Self.blocks(of: input.rows) where second >= first {
        let other = Self.block(from: second, of: input.rows)
        let inputs = MatrixView(memory, rows: block.count, columns: other.count)
        let gradients = MatrixView(memory + inputs.count, rows: block.count, columns: other.count)
        let rest = memory + 2 * inputs.count
        multiplyRows(input, block, other, rest, into: inputs)
        multiplyRows(gradient, block, other, rest, into: gradients)
        var products = 0.0
        for place in 0..<inputs.count { products += memory[place] * memory[inputs.count + place] }
        // Pairs within a block come twice by themselves.
        sum += (second == first ? 1 : 2) * products
      }
    }
    // NaN stays what it is.
    return sum < 0 ? 0 : sum
  }

  /// ⟨r_s, r_t⟩ of the rows s of one block and t of another.
  private func multiplyRows<Element: ActivationElement>(
    _ rows: MatrixView<Element>, _ block: Range<Int>, _ other: Range<Int>, _ memory: UnsafeMutablePointer<Double>,
    into product: MatrixView<Double>
  ) {
    let left = rows.rows(block).doubled(at: memory)
    let right = block == other ? left : rows.rows(other).doubled(at: memory + left.count)
    multiplyOnCallingThread(left, right, transposeB: true, into: product)
  }
}

extension MatrixView where Element: ActivationElement {
  /// A copy in double precision, in memory for as many numbers.
  fileprivate func doubled(at memory: UnsafeMutablePointer<Double>) -> MatrixView<Double> {
    for row in 0..<rows {
      let (source, target) = (base + row * stride, memory + row * columns)
      for column in 0..<columns { target[column] = Double(source[column].widened) }
    }
    return MatrixView<Double>(memory, rows: rows, columns: columns)
  }
}

extension StoredMatrix {
  /// Its numbers, of which none has been rounded: an engine that clips samples one by one keeps no narrow activations.
  var exact: MatrixView<Element> {
    guard let full else { preconditionFailure("norms of samples are not taken of rounded activations") }
    return full
  }
}
