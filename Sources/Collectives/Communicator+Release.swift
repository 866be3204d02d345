extension Communicator {
  /// Makes sure that all ranks run the same release, whose messages they understand. All ranks call it, first of all.
  ///
  /// - Parameter release: of this rank's program; its first 64 bytes count.
  /// - Throws: `CollectiveError.otherRelease` at each rank that is not of rank 0's; `CollectiveError` when a rank is gone.
  package func agree(on release: String) throws(CollectiveError) {
    guard size > 1 else { return }
    // In every release the same: it has to be understood by the others.
    var bytes = [UInt8](release.utf8.prefix(64))
    bytes += [UInt8](repeating: 0, count: 64 - bytes.count)
    let own = bytes
    try bytes.withUnsafeMutableBufferPointer { memory throws(CollectiveError) in try broadcast(memory, from: 0) }
    guard bytes == own else {
      throw .otherRelease(rank: rank, has: Self.text(own), first: Self.text(bytes))
    }
  }

  private static func text(_ bytes: [UInt8]) -> String {
    String(decoding: bytes.prefix { $0 > 32 && $0 < 127 }, as: UTF8.self)
  }
}
