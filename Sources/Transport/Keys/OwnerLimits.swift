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
        throw UnusableWord(reason: "one key a line; put # before a comment")
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
