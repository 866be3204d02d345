/// The owners a trainer serves.
package struct AuthorizedKeys: Sendable, Equatable {
  package let keys: Set<OwnerKey>

  package init(_ keys: Set<OwnerKey>) {
    self.keys = keys
  }

  /// Thousands of owners with comments.
  private static let maximumBytes = 1 << 20

  /// One public key a line, after which `# name` may follow; blank lines and lines that start with `#` are skipped. A list
  /// without a key is allowed and admits nobody.
  ///
  /// - Parameter path: names the file in errors.
  /// - Throws: `.unusableLine`, counted from 1.
  package static func parse(
    fileContents: String, path: String = "authorized keys"
  ) throws(KeyFileError) -> AuthorizedKeys {
    var keys: Set<OwnerKey> = []
    let lines = fileContents.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() {
      // Split at blanks first: z85 itself contains #.
      let words = line.split(whereSeparator: \.isWhitespace)
      guard let first = words.first, !first.hasPrefix("#") else { continue }
      guard let key = OwnerKey(z85: String(first)) else {
        throw .unusableLine(
          index + 1, path: path, reason: "not a public key (40 characters of z85, as in the owner's owner.pub)")
      }
      guard words.count == 1 || words[1].hasPrefix("#") else {
        throw .unusableLine(index + 1, path: path, reason: "one key a line; put # before a comment")
      }
      keys.insert(key)
    }
    return AuthorizedKeys(keys)
  }

  /// - Throws: as `parse`; `.missing`, `.notARegularFile`, `.malformed` (not text, or too long), `.system`.
  package static func read(at path: String) throws(KeyFileError) -> AuthorizedKeys {
    let content = try KeyFileReader.read(path, privacy: .everyone, maximumBytes: maximumBytes)
    guard let text = content.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw .malformed(path: path, reason: "it is not UTF-8 text")
    }
    return try parse(fileContents: text, path: path)
  }
}
