package import Failures

/// What can be wrong with a file of keys. Names paths and lines, never a character of a secret.
package enum KeyFileError: Failure, Equatable {
  case missing(path: String)
  /// The list of owners, which an operator writes.
  case missingList(path: String)
  /// A secret that other accounts of the machine may read.
  case readableByOthers(path: String)
  case notARegularFile(path: String)
  /// `reason` completes "… is not a key file: ".
  case malformed(path: String, reason: String)
  /// A key is never replaced: what was made under it would be lost.
  case alreadyExists(path: String)
  /// A line (counted from 1) of the list of authorized keys.
  case unusableLine(Int, path: String, reason: String)
  case system(operation: String, path: String, code: Int32)

  package var kind: FailureKind {
    if case .system(_, _, let code) = self, SystemCode.isExhaustion(code) { return .exhausted }
    return .keyOrPermission
  }

  package var description: String {
    switch self {
    case .missing(let path):
      "there is no key file \(path); make one with keygen, or correct the path"
    case .missingList(let path):
      "there is no list of owners \(path); write the owners' public keys to it, one a line, or correct the path"
    case .readableByOthers(let path):
      "the secret key file \(path) can be read by other accounts; run: chmod 600 \(Self.quoted(path))"
    case .notARegularFile(let path):
      "\(path) is not a regular file; a key is read from a regular file only"
    case .malformed(let path, let reason):
      "\(path) is not a key file: \(reason)"
    case .alreadyExists(let path):
      "\(path) exists and is never overwritten; choose another directory, or move the old keys away first"
    case .unusableLine(let line, let path, let reason):
      "\(path), line \(line): \(reason)"
    case .system(let operation, let path, let code):
      "cannot \(operation) \(path): \(SystemCode.text(code))"
    }
  }

  /// The path as one word of a shell command.
  private static func quoted(_ path: String) -> String {
    "'" + path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}
