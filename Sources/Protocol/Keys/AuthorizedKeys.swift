import Foundations

/// The owners that a server serves.
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

  /// One public key per line, after which limits and then `# name` may follow, as in
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

/// An owner's public key: what a job belongs to.
package struct OwnerKey: Hashable, Sendable, CustomStringConvertible {
  package let publicKey: CurvePublicKey

  package init(_ publicKey: CurvePublicKey) {
    self.publicKey = publicKey
  }

  /// Nil unless the text is 40 characters of z85.
  package init?(z85 text: String) {
    guard let publicKey = CurvePublicKey(z85: text) else { return nil }
    self.init(publicKey)
  }

  /// 32 bytes.
  package var bytes: [UInt8] { publicKey.bytes }

  /// 40 characters.
  package var z85: String { publicKey.z85 }

  /// The first 8 characters: enough for a log.
  package var prefix: String { String(z85.prefix(8)) }

  package var description: String { z85 }
}

/// What an operator allows one owner, beside what holds for every job; nil where nothing is said.
package struct OwnerLimits: Sendable, Equatable {
  /// Bytes of memory one of its jobs may take.
  package var memory: Int?
  /// Bytes on disk of all its jobs together: uploaded rows and checkpoints.
  package var disk: Int?
  /// Its jobs that may wait at a time: those still arriving, in line, or paused.
  package var queue: Int?

  package init(memory: Int? = nil, disk: Int? = nil, queue: Int? = nil) {
    self.memory = memory
    self.disk = disk
    self.queue = queue
  }

  /// From the words after a key: `memory=4G disk=20G queue=2`, in any order, each at most once.
  ///
  /// - Throws: what is wrong, as the reason of `KeyFileError.unusableLine`.
  init(words: some Sequence<Substring>) throws(UnusableWord) {
    for word in words {
      guard let equals = word.firstIndex(of: "=") else {
        throw UnusableWord(reason: "one key per line; put # before a comment")
      }
      let name = word[..<equals]
      let value = String(word[word.index(after: equals)...])
      switch name {
      case "memory": try Self.set(&memory, word, ByteSize.parse(value), "a size like 500M or 4G")
      case "disk": try Self.set(&disk, word, ByteSize.parse(value), "a size like 500M or 4G")
      case "queue": try Self.set(&queue, word, Self.count(value), "a number of jobs, 1 … 1000000")
      default: throw UnusableWord(reason: "'\(name.prefix(40))' is no limit; memory, disk and queue are")
      }
    }
  }

  struct UnusableWord: Error {
    let reason: String
  }

  private static func set(
    _ limit: inout Int?, _ word: Substring, _ value: Int?, _ expected: String
  ) throws(UnusableWord) {
    let name = word.prefix { $0 != "=" }
    guard limit == nil else { throw UnusableWord(reason: "\(name) is given twice") }
    guard let value else { throw UnusableWord(reason: "\(name) takes \(expected)") }
    limit = value
  }

  private static func count(_ text: String) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text),
      (1...1_000_000).contains(number)
    else { return nil }
    return number
  }
}
