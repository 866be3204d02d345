import Checkpoints
import Foundation

/// What `trainer.lease` says: who has the store, and that it is alive.
struct LeaseRecord: Codable, Equatable, Sendable {
  let holder: ProcessIdentity
  /// Different for every trainer.
  let token: UInt64
  /// Grows with every renewal.
  var beat: UInt64
  /// The job that runs.
  var job: String?

  static func path(_ store: URL) -> String {
    store.appending(path: "trainer.lease").path
  }

  /// - Returns: nil when there is no lease.
  /// - Throws: `StoreError.damaged`; `CheckpointError` when it cannot be read.
  static func read(_ store: URL) throws -> LeaseRecord? {
    try read(at: path(store))
  }

  static func read(at path: String) throws -> LeaseRecord? {
    guard let bytes = try SmallFile.read(path) else { return nil }
    guard let record = try? JSONDecoder().decode(LeaseRecord.self, from: bytes) else {
      throw StoreError.damaged(path: path)
    }
    return record
  }

  func write(_ store: URL) throws {
    try write(to: Self.path(store), replacing: true)
  }

  /// - Throws: `CheckpointError`; `.system(.create, _, EEXIST)` where there is a file that is not to be replaced.
  func write(to path: String, replacing: Bool) throws {
    try AtomicFile.write(try JSONEncoder().encode(self), to: path, replacing: replacing)
  }

  /// - Throws: `StoreError.damaged` where something that is no file stands in the lease's place: no trainer ever makes it one.
  static func checkKind(_ store: URL) throws(StoreError) {
    var status = stat()
    guard lstat(path(store), &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .damaged(path: path(store)) }
  }

  /// Of the lease's last renewal, by the clock of the file system it is on; nil when there is none.
  static func renewalTime(_ store: URL) -> Double? {
    writingTime(path(store))
  }

  /// As `renewalTime`, of any file.
  static func writingTime(_ path: String) -> Double? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) * 1e-9
  }

  var holderText: String { "process \(holder.pid) on \(holder.host)" }
}
