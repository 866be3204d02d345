package import Failures

/// A decomposition that LAPACK could not give.
package enum DecompositionError: Failure, Equatable {
  /// More rows or columns than LAPACK's 32-bit integers and workspaces take.
  case tooLarge(rows: Int, columns: Int)
  /// The iteration did not converge, which for finite numbers does not happen in practice: the matrix holds NaN or an infinity.
  case notConverged(routine: String)

  package var kind: FailureKind {
    switch self {
    case .tooLarge: .exhausted
    case .notConverged: .inputData
    }
  }

  package var description: String {
    switch self {
    case .tooLarge(let rows, let columns): "a \(rows) × \(columns) matrix is too large to decompose"
    case .notConverged(let routine): "\(routine) did not converge: the matrix holds NaN or an infinity"
    }
  }
}
