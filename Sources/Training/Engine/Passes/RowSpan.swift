/// The rows of a pass: whole samples, and their tokens where samples are sequences.
struct RowSpan: Equatable {
  let samples: Range<Int>
  /// Empty where a sample is one row.
  let tokens: Range<Int>

  init(samples: Range<Int>) {
    self.samples = samples
    tokens = 0..<0
  }

  /// All samples of a part.
  init(_ sequences: SequenceLayout) {
    samples = 0..<sequences.samples
    tokens = 0..<sequences.tokens
  }

  func rows(_ domain: RowDomain) -> Range<Int> {
    switch domain {
    case .samples: samples
    case .tokens: tokens
    }
  }
}
