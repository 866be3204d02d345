import Files
package import Foundation
package import Foundations
package import Masking
package import Models
import Numerics

/// Which jobs of one owner's rounds a trainer may still have, and the key of all of them: `jobs.json` and `job.key` in a directory.
///
/// Written before a job is proposed and after it is removed, so that after a kill each is gone on with or removed, and the trainer's store does
/// not fill up.
package struct RoundJobs {
  /// The form of `jobs.json`.
  private struct Record: Codable, Equatable {
    var version = 1
    /// What the jobs are masked with: another one would need another key.
    let masking: MaskingDescription
    let keyExpansion: KeyExpansionRecord
    /// The round under way: its job, and what it is of.
    var open: Round?
    /// Jobs that are of no use any more and not known to be removed.
    var leftovers: [JobID] = []
  }

  private struct Round: Codable, Equatable {
    let job: JobID
    let subject: String
  }

  private let directory: URL
  package let master: MasterKey
  package let keyExpansion: KeyExpansionRecord
  private var record: Record

  private static let fileName = "jobs.json"
  private var file: URL { directory.appending(path: Self.fileName) }

  /// Opens the directory, or begins it with a new key.
  ///
  /// - Parameters:
  ///   - directory: made where it is missing, for this user alone.
  ///   - work: what the key is for, part of everything that is drawn from it.
  /// - Throws: `OwnerError.run` for a directory whose jobs are masked otherwise; `MaskingError` for a key that cannot be used; `FileError`.
  package init(_ directory: URL, for work: JobID, masking: MaskingDescription) throws {
    self.directory = directory
    let file = directory.appending(path: Self.fileName)
    let key = MasterKeyFile(path: directory.appending(path: "job.key").path)
    if let known = try RunFile.read(Record.self, from: file, isKnown: { $0.version == 1 }) {
      guard known.masking == masking else {
        throw OwnerError.run(
          "\(directory.path) was begun with other masking than is asked for now; put `masking` back, or begin anew in another --out"
        )
      }
      record = known
      master = try key.read(job: work)
    } else {
      try Directory.create(directory.path)
      // A kill between the two writes leaves a key that nothing was masked with yet.
      if FileManager.default.fileExists(atPath: key.path) {
        master = try key.read(job: work)
      } else {
        master = MasterKey(for: work)
        try key.write(master)
      }
      record = Record(masking: masking, keyExpansion: KeyExpansionRecord())
      try RunFile.write(record, to: file)
    }
    keyExpansion = record.keyExpansion
  }

  /// Whether a trainer may have a job of the directory's; false where there is no such directory.
  ///
  /// - Throws: `OwnerError.run` for a file that cannot be read; `FileError`.
  package static func mayHaveJobs(of directory: URL) throws -> Bool {
    let known = try RunFile.read(Record.self, from: directory.appending(path: fileName), isKnown: { $0.version == 1 })
    return known.map { $0.open != nil || !$0.leftovers.isEmpty } ?? false
  }

  /// The history of the round under way.
  var history: RunDirectory { RunDirectory(root: directory) }

  package var leftovers: [JobID] { record.leftovers }

  /// - Parameter subject: everything that the job's result depends on beside what is the same in all rounds.
  /// - Returns: the job that is under way about just this, or a new one with an empty history; the earlier one is then a leftover.
  mutating func begin(_ subject: String) throws -> JobID {
    if let open = record.open, open.subject == subject { return open.job }
    try abandonOpen()
    try? FileManager.default.removeItem(at: history.history)
    let job = JobID.random()
    record.open = Round(job: job, subject: subject)
    try RunFile.write(record, to: file)
    return job
  }

  /// The round under way is not gone on with.
  mutating func abandonOpen() throws {
    guard let open = record.open else { return }
    record.leftovers.append(open.job)
    record.open = nil
    try RunFile.write(record, to: file)
  }

  /// A job that nobody goes on with after a kill: to be removed then.
  mutating func beginPassing() throws -> JobID {
    let job = JobID.random()
    record.leftovers.append(job)
    try RunFile.write(record, to: file)
    return job
  }

  /// The trainer does not have the job any more, or is to remove it later.
  mutating func end(_ job: JobID, isRemoved: Bool) throws {
    if record.open?.job == job { record.open = nil }
    record.leftovers.removeAll { $0 == job }
    if !isRemoved { record.leftovers.append(job) }
    try RunFile.write(record, to: file)
  }
}
