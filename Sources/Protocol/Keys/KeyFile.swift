import Files
package import Foundations
import Glibc

/// Key files: one line of z85, after any number of `#` comments and blank lines.
///
/// `NAME.key` holds the secret half, readable by its account only; the public half is derived from it. `NAME.pub` holds the
/// public half, to be given to the other side.
package struct KeyFile: Sendable {
  /// Whose keys; gives the file names.
  package struct Role: Sendable, Equatable {
    let rawValue: String

    package static let owner = Role(rawValue: "owner")
    package static let trainer = Role(rawValue: "trainer")

    private init(rawValue: String) {
      self.rawValue = rawValue
    }

    /// - Parameter name: of the server's program, as in `trainer`.
    package init(server name: String) {
      self.init(rawValue: name)
    }
  }

  package let role: Role
  package let directory: String

  package init(_ role: Role, in directory: String) {
    self.role = role
    self.directory = directory
  }

  package var secretPath: String { "\(directory)/\(role.rawValue).key" }
  package var publicPath: String { "\(directory)/\(role.rawValue).pub" }

  /// Long enough for a key with a page of comments.
  private static let maximumBytes = 16_384

  /// How the comment of a secret key's file begins.
  private static let secretComment = "# Secret key of the "

  /// Writes both files, 0600 and 0644, making the directory if there is none.
  ///
  /// - Throws: `.alreadyExists` when either file is there, with nothing written; `.system`.
  package func create(_ keys: CurveKeyPair) throws(KeyFileError) {
    do throws(FileError) {
      try Directory.create(directory, withParents: false)
    } catch {
      throw KeyFileError(error, path: directory)
    }
    for path in [secretPath, publicPath] {
      var status = stat()
      if lstat(path, &status) == 0 { throw .alreadyExists(path: path) }
    }
    try create(
      secretPath, mode: S_IRUSR | S_IWUSR,
      comment: "\(Self.secretComment)\(role.rawValue): whoever reads it can act as the \(role.rawValue).\n",
      keyText: keys.withSecretText { text in SecretBytes(count: text.count) { $0.copyMemory(from: text) } })
    do {
      let text = Array(keys.publicKey.z85.utf8)
      try create(
        publicPath, mode: S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH,
        comment: "# Public key of the \(role.rawValue), for the other side.\n",
        keyText: SecretBytes(count: text.count) { $0.copyBytes(from: text) })
    } catch {
      unlink(secretPath)
      throw error
    }
  }

  /// The pair whose secret half is in `secretPath`.
  ///
  /// - Throws: `.missing`, `.readableByOthers` (naming the command that corrects it), `.malformed`, `.system`.
  package func readKeyPair() throws(KeyFileError) -> CurveKeyPair {
    let content = try KeyFileReader.read(secretPath, privacy: .secret, maximumBytes: Self.maximumBytes)
    let secret = try SecretBytes(count: CurvePublicKey.byteCount) { (bytes) throws(KeyFileError) in
      try Self.decodeOnlyKey(in: content, path: secretPath, into: bytes)
    }
    do {
      return try CurveKeyPair(secret: secret)
    } catch {
      throw .malformed(path: secretPath, reason: "no public key belongs to it")
    }
  }

  /// The public key in any `.pub` file.
  ///
  /// - Throws: `.missing`, `.malformed`, `.secret` for the other half, `.system`.
  package static func readPublicKey(at path: String) throws(KeyFileError) -> CurvePublicKey {
    let content = try KeyFileReader.read(path, privacy: .everyone, maximumBytes: maximumBytes)
    // Both halves have the same form; a secret taken for a public key would be sent and shown.
    let secretMark = Array(secretComment.utf8)
    let isSecret = content.withUnsafeBytes { content in
      content.split(separator: UInt8(ascii: "\n")).contains { $0.starts(with: secretMark) }
    }
    guard !isSecret else { throw .secret(path: path) }
    let bytes = try SecretBytes(count: CurvePublicKey.byteCount) { (bytes) throws(KeyFileError) in
      try decodeOnlyKey(in: content, path: path, into: bytes)
    }
    guard let key = bytes.withUnsafeBytes({ CurvePublicKey(bytes: $0) }) else {
      throw .malformed(path: path, reason: noKey)
    }
    return key
  }

  private static let noKey = "there is no line of 40 characters of z85 in it (a line that starts with # is a comment)"

  private func create(
    _ path: String, mode: mode_t, comment: String, keyText: SecretBytes
  ) throws(KeyFileError) {
    let comment = Array(comment.utf8)
    let content = SecretBytes(count: comment.count + CurvePublicKey.textLength + 1) { content in
      content.copyBytes(from: comment)
      keyText.withUnsafeBytes { text in
        UnsafeMutableRawBufferPointer(rebasing: content[comment.count...]).copyMemory(from: text)
      }
      content[content.count - 1] = UInt8(ascii: "\n")
    }
    try content.withUnsafeBytes { (content) throws(KeyFileError) in
      do throws(FileError) {
        try AtomicFile.write(content, to: path, mode: mode, replacing: false)
      } catch {
        throw KeyFileError(error, path: path)
      }
    }
  }

  /// Decodes the one line that is neither blank nor a comment.
  private static func decodeOnlyKey(
    in content: SecretBytes, path: String, into bytes: UnsafeMutableRawBufferPointer
  ) throws(KeyFileError) {
    try content.withUnsafeBytes { (content) throws(KeyFileError) in
      // Ranges of the buffer, not copies of it: it may hold a secret.
      var keyLine: Range<Int>?
      var start = 0
      for end in 0...content.count where end == content.count || content[end] == UInt8(ascii: "\n") {
        let line = trimmed(start..<end, of: content)
        start = end + 1
        if line.isEmpty || content[line.lowerBound] == UInt8(ascii: "#") { continue }
        guard keyLine == nil else { throw .malformed(path: path, reason: "it holds more than one key line") }
        keyLine = line
      }
      guard let keyLine else { throw .malformed(path: path, reason: noKey) }
      guard keyLine.count == CurvePublicKey.textLength else {
        throw .malformed(
          path: path, reason: "its key line has \(keyLine.count) characters instead of \(CurvePublicKey.textLength)")
      }
      guard Z85.decode(UnsafeRawBufferPointer(rebasing: content[keyLine]), into: bytes) else {
        throw .malformed(path: path, reason: "its key line is not z85")
      }
    }
  }

  private static func trimmed(_ line: Range<Int>, of content: UnsafeRawBufferPointer) -> Range<Int> {
    let blanks = [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r")]
    let isInk = { (index: Int) in !blanks.contains(content[index]) }
    guard let first = line.first(where: isInk), let last = line.last(where: isInk) else {
      return line.lowerBound..<line.lowerBound
    }
    return first..<last + 1
  }
}

/// Reads a small file whole, checking what was opened rather than what the path named a moment before.
enum KeyFileReader {
  /// Whether the file may hold only what no other account reads.
  enum Privacy {
    case secret
    case everyone
  }

  /// The file's bytes, in memory that is zeroed afterwards.
  ///
  /// - Throws: `.missing`, `.readableByOthers`, `.notARegularFile`, `.malformed` when longer than `maximumBytes`, `.system`.
  static func read(_ path: String, privacy: Privacy, maximumBytes: Int) throws(KeyFileError) -> SecretBytes {
    // Non-blocking, so that a named pipe cannot make the program wait; it changes nothing for a regular file.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else {
      throw errno == ENOENT ? .missing(path: path) : .system(operation: "open", path: path, code: errno)
    }
    defer { close(file) }

    var status = stat()
    guard fstat(file, &status) == 0 else { throw .system(operation: "examine", path: path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notARegularFile(path: path) }
    if privacy == .secret, status.st_mode & (S_IRWXG | S_IRWXO) != 0 { throw .readableByOthers(path: path) }
    guard let size = Int(exactly: status.st_size), size <= maximumBytes else {
      throw .malformed(path: path, reason: "it is longer than \(maximumBytes) bytes")
    }

    return try SecretBytes(count: size) { (bytes) throws(KeyFileError) in
      var filled = 0
      while filled < bytes.count {
        let count = Glibc.read(file, bytes.baseAddress.map { $0 + filled }, bytes.count - filled)
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw .system(operation: "read", path: path, code: errno) }
        guard count > 0 else { throw .malformed(path: path, reason: "it changed while it was read") }
        filled += count
      }
    }
  }
}

/// What can be wrong with a file of keys. Names paths and lines, never a character of a secret.
package enum KeyFileError: Failure, Equatable {
  case missing(path: String)
  /// The list of owners, which an operator writes.
  case missingList(path: String)
  /// A secret that other accounts of the machine may read.
  case readableByOthers(path: String)
  case notARegularFile(path: String)
  /// A secret key's file where a public key's is needed.
  case secret(path: String)
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
      "there is no list of owners \(path); write the owners' public keys to it, one per line, or correct the path"
    case .readableByOthers(let path):
      "the secret key file \(path) can be read by other accounts; run: chmod 600 \(Self.quoted(path))"
    case .notARegularFile(let path):
      "\(path) is not a regular file; a key is read from a regular file only"
    case .secret(let path):
      "\(path) is a secret key's file, and a public key is needed here: give the .pub file of the other side; nothing of it was used"
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

  /// Why a file of keys could not be written.
  init(_ error: FileError, path: String) {
    switch error {
    case .system(.create, _, EEXIST): self = .alreadyExists(path: path)
    case .system(let operation, _, let code): self = .system(operation: operation.rawValue, path: path, code: code)
    default: self = .malformed(path: path, reason: error.description)
    }
  }

  /// The path as one word of a shell command.
  private static func quoted(_ path: String) -> String {
    "'" + path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}
