import Failures

/// A misuse of a row file, or a file that is not one.
package enum RowFileProblem: Equatable, Sendable, CustomStringConvertible {
  /// Columns below 1, a negative capacity, or a size that overflows.
  case impossibleSize(columns: Int, capacity: Int)
  case slotOutOfRange(slot: Int, capacity: Int)
  /// A buffer of another size than the rows it is for.
  case bufferSize(expected: Int, found: Int)
  case columns(expected: Int, found: Int)
  /// An existing file of another length than columns × capacity.
  case length(expected: Int, found: Int)

  var kind: FailureKind { .inputData }

  package var description: String {
    switch self {
    case .impossibleSize(let columns, let capacity): "\(capacity) rows of \(columns) columns is not a possible size"
    case .slotOutOfRange(let slot, let capacity): "slot \(slot) is outside 0 ..< \(capacity)"
    case .bufferSize(let expected, let found): "a buffer of \(found) elements where \(expected) are needed"
    case .columns(let expected, let found): "rows of \(found) columns where \(expected) are kept"
    case .length(let expected, let found):
      "\(found) bytes long instead of \(expected): made for another job, or damaged; remove it to start afresh"
    }
  }
}
