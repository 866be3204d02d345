import Tensors

/// How many rows matrices have, or may have, by what their rows are.
struct RowCounts: Equatable {
  var samples = 0
  var tokens = 0

  init(samples: Int, tokens: Int) {
    self.samples = samples
    self.tokens = tokens
  }

  init(_ span: RowSpan) {
    self.init(samples: span.samples.upperBound, tokens: span.tokens.upperBound)
  }

  subscript(domain: RowDomain) -> Int {
    switch domain {
    case .samples: samples
    case .tokens: tokens
    }
  }

  func covering(_ other: RowCounts) -> RowCounts {
    RowCounts(samples: max(samples, other.samples), tokens: max(tokens, other.tokens))
  }

  /// Elements of matrices with these rows; nil when the count overflows.
  func elementCount(_ shapes: [MatrixShape]) -> Int? {
    Shape.sum(shapes.map { Shape.elementCount([self[$0.domain], $0.columns]) })
  }
}
