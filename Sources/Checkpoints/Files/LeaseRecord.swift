import Foundation

/// What a lease's file says: who holds the directory, and that it is alive.
package struct LeaseRecord: Codable, Equatable, Sendable {
  package let holder: ProcessIdentity
  /// Different for every lease that is taken.
  package let token: UInt64
  /// Grows with every renewal.
  package var beat: UInt64
  /// The job that runs.
  package var job: String?

  package init(holder: ProcessIdentity, token: UInt64, beat: UInt64) {
    self.holder = holder
    self.token = token
    self.beat = beat
  }

  /// - Returns: nil when there is no lease.
  /// - Throws: `LeaseError.damaged`; `CheckpointError` when it cannot be read.
  package static func read(_ place: LeasePlace) throws -> LeaseRecord? {
    try read(at: place.path)
  }

  static func read(at path: String) throws -> LeaseRecord? {
    guard let bytes = try SmallFile.read(path) else { return nil }
    guard let record = try? JSONDecoder().decode(LeaseRecord.self, from: bytes) else {
      throw LeaseError.damaged(path: path)
    }
    return record
  }

  package func write(_ place: LeasePlace) throws {
    try write(to: place.path, replacing: true)
  }

  /// - Throws: `CheckpointError`; `.system(.create, _, EEXIST)` where there is a file that is not to be replaced.
  func write(to path: String, replacing: Bool) throws {
    try AtomicFile.write(try JSONEncoder().encode(self), to: path, mode: 0o644, replacing: replacing)
  }

  /// - Throws: `LeaseError.damaged` where something that is no file stands in the lease's place: no process ever makes it one.
  static func checkKind(_ place: LeasePlace) throws(LeaseError) {
    var status = stat()
    guard lstat(place.path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .damaged(path: place.path) }
  }

  /// Of the lease's last renewal, in seconds of the clock of the file system it is on; nil when there is none.
  package static func renewalTime(_ place: LeasePlace) -> Double? {
    writingTime(place.path)
  }

  /// As `renewalTime`, of any file.
  static func writingTime(_ path: String) -> Double? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) * 1e-9
  }

  /// The holder as messages name it.
  package var holderText: String { "process \(holder.pid) on \(holder.host)" }
}
