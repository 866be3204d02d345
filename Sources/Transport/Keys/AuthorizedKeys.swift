/// The owners a trainer serves.
package struct AuthorizedKeys: Sendable, Equatable {
  /// What each may use; its keys are the owners listed.
  package let limits: [OwnerKey: OwnerLimits]

  package var keys: Set<OwnerKey> { Set(limits.keys) }

  package init(_ limits: [OwnerKey: OwnerLimits]) {
    self.limits = limits
  }

  /// Without limits of their own.
  package init(_ keys: Set<OwnerKey>) {
    limits = Dictionary(uniqueKeysWithValues: keys.map { ($0, OwnerLimits()) })
  }

  /// Thousands of owners with comments.
  private static let maximumBytes = 1 << 20

  /// One public key a line, after which limits and then `# name` may follow, as in
  /// `KEY memory=4G disk=20G queue=2 # name`; blank lines and lines that start with `#` are
  /// skipped, and so is a byte order mark. A list without a key is allowed and admits nobody.
  ///
  /// - Parameter path: names the file in errors.
  /// - Throws: `.unusableLine`, counted from 1.
  package static func parse(
    fileContents: String, path: String = "authorized keys"
  ) throws(KeyFileError) -> AuthorizedKeys {
    var limits: [OwnerKey: OwnerLimits] = [:]
    // Some editors put a byte order mark before the first line.
    let text = fileContents.trimmingPrefix("\u{FEFF}")
    let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    for (index, line) in lines.enumerated() {
      // Split at blanks first: z85 itself contains #.
      let words = line.split(whereSeparator: \.isWhitespace)
      guard let first = words.first, !first.hasPrefix("#") else { continue }
      guard let key = OwnerKey(z85: String(first)) else {
        throw .unusableLine(
          index + 1, path: path, reason: "not a public key (40 characters of z85, as in the owner's owner.pub)")
      }
      let own: OwnerLimits
      do {
        own = try OwnerLimits(words: words.dropFirst().prefix { !$0.hasPrefix("#") })
      } catch {
        throw .unusableLine(index + 1, path: path, reason: error.reason)
      }
      if let earlier = limits[key], earlier != own {
        throw .unusableLine(index + 1, path: path, reason: "the key is listed before with other limits")
      }
      limits[key] = own
    }
    return AuthorizedKeys(limits)
  }

  /// - Throws: as `parse`; `.missingList`, `.notARegularFile`, `.malformed` (not text, or too long), `.system`.
  package static func read(at path: String) throws(KeyFileError) -> AuthorizedKeys {
    let content: SecretBytes
    do {
      content = try KeyFileReader.read(path, privacy: .everyone, maximumBytes: maximumBytes)
    } catch .missing {
      throw .missingList(path: path)
    }
    guard let text = content.withUnsafeBytes({ String(validating: $0, as: UTF8.self) }) else {
      throw .malformed(path: path, reason: "it is not UTF-8 text")
    }
    return try parse(fileContents: text, path: path)
  }
}
