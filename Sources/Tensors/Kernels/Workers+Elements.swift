extension Workers {
  /// Elements of a piece of an elementwise pass: about 20 µs of work, so that handing it out is cheap in comparison.
  package static let elementsAPiece = 1 << 16

  /// Calls `body` for consecutive ranges that cover `0..<count`, cut by `count` alone.
  package func performOverElements(_ count: Int, _ body: @Sendable (Range<Int>) -> Void) {
    let size = Self.elementsAPiece
    perform(pieces: (count + size - 1) / size) { piece in
      body(piece * size..<min(count, (piece + 1) * size))
    }
  }

  /// Calls `body` for consecutive ranges of rows that cover `view`, cut by its shape alone.
  package func performOverRows<Element: TensorElement>(
    _ view: MatrixView<Element>, _ body: @Sendable (Range<Int>) -> Void
  ) {
    let height = max(1, Self.elementsAPiece / 2 / max(1, view.columns))
    perform(pieces: (view.rows + height - 1) / height) { piece in
      body(piece * height..<min(view.rows, (piece + 1) * height))
    }
  }

  /// The sum of what `body` returns for each range of `performOverElements`, added in order.
  package func sumOverElements(_ count: Int, _ body: @Sendable (Range<Int>) -> Double) -> Double {
    let partial = PartialSums(count: (count + Self.elementsAPiece - 1) / Self.elementsAPiece)
    performOverElements(count) { range in
      partial[range.lowerBound / Self.elementsAPiece] = body(range)
    }
    return partial.total
  }

  /// Σ x² over `count` elements.
  package func sumOfSquares<Element: FloatingElement>(_ x: MatrixBuffer<Element>) -> Double {
    let view = x.view
    return sumOverElements(x.count) { range in Element.sumOfSquares(range.count, view.base + range.lowerBound) }
  }

  /// Whether no element is NaN or infinite.
  package func allFinite<Element: FloatingElement>(_ x: Tensor<Element>) -> Bool {
    x.withUnsafeBufferPointer { elements in
      guard let base = elements.baseAddress else { return true }
      return Element.allFinite(elements.count, base)
    }
  }
}
