import Files
import Foundation
import Foundations
import Numerics

/// Uploads of one attempt at a sum, each in a file that grows as its pieces come, so that one that was cut goes on where it ended; kept until
/// the sum is finished, so that a process that is started again can add them.
struct UploadSpool {
  private let files: FederationFiles
  let sum: UInt64
  let attempt: Int
  /// Entries that a whole upload has, 64 bits each.
  let entries: Int

  private static let prefix = "upload-"

  init(_ files: FederationFiles, sum: UInt64, attempt: Int, entries: Int) {
    self.files = files
    self.sum = sum
    self.attempt = attempt
    self.entries = entries
  }

  private func path(_ site: Int) -> String { files.path("\(Self.prefix)\(sum)-\(attempt)-\(site).i64") }

  private func headerPath(_ site: Int) -> String { files.path("\(Self.prefix)\(sum)-\(attempt)-\(site).header") }

  /// Entries of a site's upload that are there.
  func held(of site: Int) throws -> Int {
    guard RegularFile.exists(path(site)) else { return 0 }
    return min(entries, try SpoolFile(reading: path(site)).length / MemoryLayout<UInt64>.stride)
  }

  /// Adds a piece where it begins at what is there; another one is dropped.
  ///
  /// - Returns: the entries that are there then.
  /// - Throws: `AggregatorError.unwanted` for one that goes past the end; `FileError`.
  func append(_ piece: Tensor<Int64>, at offset: Int, of site: Int) throws -> Int {
    let held = try held(of: site)
    guard offset == held else { return held }
    guard piece.count <= entries - held else {
      throw AggregatorError.unwanted("it has more than the \(entries) entries of this sum")
    }
    let file = try SpoolFile(path: path(site))
    // What a kill left of an entry is written over.
    try piece.withUnsafeBufferPointer { (values) throws(FileError) in
      try file.append(UnsafeRawBufferPointer(values), after: held * MemoryLayout<UInt64>.stride)
    }
    return held + piece.count
  }

  /// Makes a whole upload and its header durable.
  func complete(_ site: Int, header: [UInt8]) throws {
    try SpoolFile(path: path(site)).sync()
    try header.withUnsafeBytes { try AtomicFile.write($0, to: headerPath(site)) }
  }

  func header(of site: Int) throws -> [UInt8] {
    try RegularFile.read(headerPath(site), limit: 1 << 20) ?? []
  }

  /// The upload's numbers, all of them in memory for as long as the result lives.
  func vector(of site: Int) throws -> [UInt64] {
    let file = try SpoolFile(reading: path(site))
    return try [UInt64](unsafeUninitializedCapacity: entries) { buffer, count in
      try file.read(into: UnsafeMutableRawBufferPointer(buffer), at: 0)
      count = buffer.count
    }
  }

  func remove(_ site: Int) throws {
    try Directory.remove(headerPath(site))
    try Directory.remove(path(site))
  }

  /// Removes uploads of every sum but this attempt's; of all for nil.
  static func removeAll(in files: FederationFiles, but spool: UploadSpool?) throws {
    let kept = spool.map { "\(prefix)\($0.sum)-\($0.attempt)-" }
    for name in try Directory.names(in: files.folder.path) where name.hasPrefix(prefix) {
      if let kept, name.hasPrefix(kept) { continue }
      try Directory.remove(files.path(name))
    }
  }
}
