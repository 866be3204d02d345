package import Foundations

/// Why a job specification, a charter or a site file was refused. The description leads with `file:line:column` where that is known.
package struct JobSpecError: Failure, Equatable {
  package enum Reason: Equatable, Sendable {
    /// The file cannot be opened or read; `problem` is the system's words.
    case unreadable(path: String, problem: String, isPermission: Bool)
    case tooLarge(limit: Int)
    case notUTF8
    /// A character that YAML does not allow in a document.
    case controlCharacter(String)
    case syntax(String)
    case empty
    case anchorOrAlias
    case explicitTag
    case keyIsNotText
    case unknownKey(String, suggestion: String?, known: [String])
    case duplicateKey([String])
    /// A section that asks for something by being there, without any of its keys.
    case emptySection(String, known: [String])
    case wrongType(key: String, expected: String, found: String)
    case outOfRange(key: String, range: String)
    case missingKey(String, meaning: String)
    /// Two keys that cannot stand together, or one without another it needs: a whole sentence.
    case contradiction(String)
    case missingFile(key: String, path: String)
    case notARegularFile(key: String, path: String)
    case missingDirectory(key: String, path: String)
    case notADirectory(key: String, path: String)
    /// A `--set` argument that is not `key=value`.
    case malformedOverride
  }

  package let location: SourceLocation?
  package let reason: Reason

  package init(_ reason: Reason, at location: SourceLocation? = nil) {
    self.reason = reason
    self.location = location
  }

  package var kind: FailureKind {
    if case .unreadable(_, _, isPermission: true) = reason { return .keyOrPermission }
    return .usage
  }

  package var description: String {
    guard let location else { return reason.sentence }
    return "\(location): \(reason.sentence)"
  }
}

extension JobSpecError.Reason {
  fileprivate var sentence: String {
    switch self {
    case .unreadable(let path, let problem, _): "cannot read \(path): \(problem)"
    case .tooLarge(let limit): "larger than \(limit) bytes, which no specification needs; is this the right file?"
    case .notUTF8: "not UTF-8 text; save the file as UTF-8"
    case .controlCharacter(let code): "the character \(code) is not allowed in YAML; delete it or write it as an escape"
    case .syntax(let problem): "not valid YAML: \(problem)"
    case .empty: "the job specification is empty; `name`, `data`, `task`, `model` and `optimizer.lr` are needed"
    case .anchorOrAlias: "anchors (&name) and aliases (*name) are not supported here; write the value out"
    case .explicitTag: "explicit tags (!name) are not supported here; leave the tag out"
    case .keyIsNotText: "a key must be a plain name, not a list or a mapping"
    case .unknownKey(let key, let suggestion, let known):
      "unknown key `\(key)`"
        + (suggestion.map { "; did you mean `\($0)`?" } ?? "; known here: \(known.joined(separator: ", "))")
    case .duplicateKey(let keys):
      "\(keys.map { "`\($0)`" }.joined(separator: ", ")) given more than once; keep one"
    case .emptySection(let section, let known):
      "`\(section)` is empty: give at least one of \(known.joined(separator: ", ")), or delete it"
    case .wrongType(let key, let expected, let found): "`\(key)` must be \(expected), not \(found)"
    case .outOfRange(let key, let range): "`\(key)` is out of range: it must be \(range)"
    case .missingKey(let key, let meaning): "`\(key)` is missing: \(meaning)"
    case .contradiction(let sentence): sentence
    case .missingFile(let key, let path): "`\(key)`: there is no file \(path)"
    case .notARegularFile(let key, let path): "`\(key)`: \(path) is not a regular file"
    case .missingDirectory(let key, let path): "`\(key)`: there is no directory \(path)"
    case .notADirectory(let key, let path): "`\(key)`: \(path) is not a directory"
    case .malformedOverride: "expected key.path=value, as in --set train.epochs=3"
    }
  }
}

/// Where a value was written, for error messages.
package struct SourceLocation: Sendable, Hashable, CustomStringConvertible {
  /// The file as the caller named it, or `--set key` for a command-line override.
  package let source: String
  /// From 1; nil when the whole source is meant.
  package let line: Int?
  /// From 1, counted in Unicode scalars.
  package let column: Int?
  package let isOverride: Bool

  package init(source: String, line: Int? = nil, column: Int? = nil, isOverride: Bool = false) {
    self.source = source
    self.line = line
    self.column = column
    self.isOverride = isOverride
  }

  package var description: String {
    // A column within an override's own value would only puzzle: the argument is one short text.
    guard !isOverride, let line else { return source }
    guard let column else { return "\(source):\(line)" }
    return "\(source):\(line):\(column)"
  }
}
