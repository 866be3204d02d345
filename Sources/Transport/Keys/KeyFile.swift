import Glibc

/// Key files: one line of z85, after any number of `#` comments and blank lines.
///
/// `NAME.key` holds the secret half, readable by its account only; the public half is derived from it. `NAME.pub` holds the
/// public half, to be given to the other side.
package struct KeyFile: Sendable {
  /// Whose keys; gives the file names.
  package enum Role: String, Sendable {
    case owner
    case trainer
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

  /// Writes both files, 0600 and 0644, making the directory if there is none.
  ///
  /// - Throws: `.alreadyExists` when either file is there, with nothing written; `.system`.
  package func create(_ keys: CurveKeyPair) throws(KeyFileError) {
    try KeyFileWriter.createDirectory(directory)
    for path in [secretPath, publicPath] {
      var status = stat()
      if lstat(path, &status) == 0 { throw .alreadyExists(path: path) }
    }
    try create(
      secretPath, mode: S_IRUSR | S_IWUSR,
      comment: "# Secret key of the \(role.rawValue): whoever reads it can act as the \(role.rawValue).\n",
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
    try KeyFileWriter.synchronizeDirectory(directory)
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
  /// - Throws: `.missing`, `.malformed`, `.system`.
  package static func readPublicKey(at path: String) throws(KeyFileError) -> CurvePublicKey {
    let content = try KeyFileReader.read(path, privacy: .everyone, maximumBytes: maximumBytes)
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
      try KeyFileWriter.create(path, mode: mode, content: content)
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
