package import Tensors

/// What the outputs of some rows should have been.
package enum Targets<Element: FloatingElement>: Sendable, Equatable {
  /// A class id for each row; where rows are tokens, a negative one marks a token that does not count.
  case classes([Int32])
  /// Rows × outputs: 0 or 1 for multilabel, any number for regression; NaN marks a missing entry.
  case values(Tensor<Element>)

  package var rows: Int {
    switch self {
    case .classes(let ids): ids.count
    case .values(let values): values.rows
    }
  }

  /// What a mean is taken over: rows of a classification that count, entries that are not missing otherwise. Its sum over the
  /// micro-batches of a batch is the batch's normalizer.
  package var observedCount: Int {
    switch self {
    case .classes(let ids): ids.count { $0 >= 0 }
    case .values(let values):
      values.withUnsafeBufferPointer { entries in
        entries.reduce(into: 0) { count, entry in count += entry.isNaN ? 0 : 1 }
      }
    }
  }

  /// The targets of some rows, `range` within `0..<rows`.
  package subscript(range: Range<Int>) -> Targets {
    switch self {
    case .classes(let ids): .classes(Array(ids[range]))
    case .values(let values):
      values.withUnsafeBufferPointer { entries in
        let columns = values.columns
        return .values(
          Tensor(
            entries[range.lowerBound * columns..<range.upperBound * columns], shape: [range.count, columns]))
      }
    }
  }
}
