package import Failures

/// Why a store cannot be used as it is.
package enum StoreError: Failure, Equatable {
  /// There is no directory.
  case missing(path: String)
  /// Another trainer that is alive, or may be, has it.
  case held(path: String, by: String)
  /// Another trainer took it over while this one was not heard of.
  case taken(path: String)
  /// `format` as the store states it.
  case otherVersion(path: String, format: String)
  case damaged(path: String)

  package var kind: FailureKind {
    switch self {
    case .missing, .otherVersion, .damaged: .inputData
    case .held, .taken: .usage
    }
  }

  package var description: String {
    switch self {
    case .missing(let path): "there is no store at \(path)"
    case .held(let path, let holder):
      "the store \(path) is held by another trainer that is alive (\(holder)); end that one, or give this one a store of its own"
    case .taken(let path):
      "another trainer has taken the store \(path) over, because this one was not heard of for too long; it goes on with the jobs"
    case .otherVersion(let path, let format):
      "the store \(path) was written by another version of this program (format \(format), this one knows \(StoreFormat.current)); "
        + "use that version, or give this one a store of its own"
    case .damaged(let path): "\(path) is damaged; restore it, or start with a store of its own"
    }
  }
}
