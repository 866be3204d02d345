/// A matrix of a format's own numbers, or of the narrow ones that stand for them.
package enum StoredMatrix<Element: FloatingElement>: Sendable {
  case full(MatrixView<Element>)
  case narrow(MatrixView<Element.Narrow>)

  package var rows: Int {
    switch self {
    case .full(let view): view.rows
    case .narrow(let view): view.rows
    }
  }

  package var columns: Int {
    switch self {
    case .full(let view): view.columns
    case .narrow(let view): view.columns
    }
  }

  package var count: Int { rows * columns }

  package var full: MatrixView<Element>? { if case .full(let view) = self { view } else { nil } }
  package var narrow: MatrixView<Element.Narrow>? { if case .narrow(let view) = self { view } else { nil } }

  /// The rectangle of these rows and columns, which must lie within the matrix.
  package func block(rows: Range<Int>, columns: Range<Int>) -> StoredMatrix {
    switch self {
    case .full(let view): .full(view.block(rows: rows, columns: columns))
    case .narrow(let view): .narrow(view.block(rows: rows, columns: columns))
    }
  }

  package func rows(_ range: Range<Int>) -> StoredMatrix { block(rows: range, columns: 0..<columns) }

  package func columns(_ range: Range<Int>) -> StoredMatrix { block(rows: 0..<rows, columns: range) }

  package subscript(row: Int, column: Int) -> Element {
    switch self {
    case .full(let view): view.base[row * view.stride + column]
    case .narrow(let view): view.base[row * view.stride + column].widened
    }
  }
}

extension StoredMatrix {
  /// A matrix of which only the shape is ever looked at, stored as one of the two is.
  ///
  /// - Parameter memory: any; nothing is read from it or written to it.
  package init(shape rows: Int, _ columns: Int, isFull: Bool, at memory: StoredMatrix) {
    let address: UnsafeMutableRawPointer =
      switch memory {
      case .full(let view): UnsafeMutableRawPointer(view.base)
      case .narrow(let view): UnsafeMutableRawPointer(view.base)
      }
    self =
      isFull
      ? .full(MatrixView(address.assumingMemoryBound(to: Element.self), rows: rows, columns: columns))
      : Element.Narrow.stored(
        MatrixView(address.assumingMemoryBound(to: Element.Narrow.self), rows: rows, columns: columns))
  }

  /// A copy of its numbers, as a matrix.
  package var widened: Tensor<Element> {
    switch self {
    case .full(let view): view.widened
    case .narrow(let view): view.widened
    }
  }

  /// Writes its numbers into a matrix of the same shape.
  package func widen(into numbers: MatrixView<Element>) {
    switch self {
    case .full(let view): view.widen(into: numbers)
    case .narrow(let view): view.widen(into: numbers)
    }
  }

  /// Takes the numbers of a matrix of the same shape, rounded to nearest where it is narrow.
  package func write(_ numbers: MatrixView<Element>) {
    switch self {
    case .full(let view): view.round(numbers)
    case .narrow(let view): view.round(numbers)
    }
  }

  /// The same of a tensor of as many numbers.
  package func write(_ numbers: Tensor<Element>) {
    numbers.withUnsafeBufferPointer { source in
      guard let from = source.baseAddress else { return }
      write(MatrixView(reading: from, rows: rows, columns: columns))
    }
  }

  /// As `ActivationElement.withSums`.
  package func withSums(
    keeping: Bool, in memory: () -> UnsafeMutablePointer<Element>, _ body: (MatrixView<Element>) throws -> Void
  ) rethrows {
    switch self {
    case .full(let view): try body(view)
    case .narrow(let view): try Element.Narrow.withSums(of: view, keeping: keeping, in: memory, body)
    }
  }

  /// Overwrites row `target` by row `source` of `other`, which is stored alike and may be this matrix itself.
  package func copyRow(_ source: Int, of other: StoredMatrix, to target: Int) {
    switch (self, other) {
    case (.full(let view), .full(let other)): view.copyRow(source, of: other, to: target)
    case (.narrow(let view), .narrow(let other)): view.copyRow(source, of: other, to: target)
    default: preconditionFailure("rows are copied between matrices that are stored alike")
    }
  }

  package func clearRow(_ row: Int) {
    switch self {
    case .full(let view): (view.base + row * view.stride).update(repeating: 0, count: view.columns)
    case .narrow(let view): (view.base + row * view.stride).update(repeating: 0, count: view.columns)
    }
  }
}

extension MatrixView {
  fileprivate func copyRow(_ source: Int, of other: MatrixView, to target: Int) {
    (base + target * stride).update(from: other.base + source * other.stride, count: columns)
  }
}
