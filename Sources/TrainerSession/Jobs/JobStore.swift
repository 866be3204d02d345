import Checkpoints
import Failures
import Foundation
import Wire

/// The jobs on disk: `jobs/ID/job.json`, its checkpoints and, for loss at the trainer, its rows, labels, plan and history.
///
/// A job's directory belongs to one trainer at a time. Everything durable is written beside its place and renamed, so that a kill
/// at any moment leaves the old or the new file.
struct JobStore: Sendable {
  let directory: URL

  /// Creates `store/jobs`, readable by this user alone.
  ///
  /// - Throws: `CheckpointError` that names what cannot be made.
  init(store: URL) throws {
    directory = Self.directory(in: store)
    try Directory.create(directory.path)
  }

  /// Whether a trainer has served from this store before.
  static func exists(in store: URL) -> Bool {
    FileManager.default.fileExists(atPath: directory(in: store).path)
  }

  private static func directory(in store: URL) -> URL {
    store.appending(path: "jobs")
  }

  func path(of id: JobID) -> URL {
    directory.appending(path: id.description)
  }

  /// Leftovers are removed by `load` alone: later the service asks for a job's checkpoints while its runner writes one.
  func checkpoints(of id: JobID) throws -> CheckpointStore {
    try CheckpointStore(directory: path(of: id).path, removingLeftovers: false)
  }

  func save(_ job: StoredJob) throws {
    let folder = path(of: job.id)
    try Directory.create(folder.path)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(try encoder.encode(job), to: folder.appending(path: "job.json").path)
  }

  /// Every readable job, rid of what a kill left half-written; a folder without a readable `job.json` is reported by name and left
  /// alone. Called before anything runs.
  func load() throws -> (jobs: [StoredJob], unreadable: [String]) {
    var jobs: [StoredJob] = []
    var unreadable: [String] = []
    let names = try Directory.names(in: directory.path).sorted()
    for name in names {
      let file = directory.appending(path: name).appending(path: "job.json")
      if let data = try? Data(contentsOf: file), let job = try? JSONDecoder().decode(StoredJob.self, from: data),
        job.id.description == name, (try? job.description.validate()) != nil
      {
        _ = try CheckpointStore(directory: path(of: job.id).path)
        jobs.append(job)
      } else {
        unreadable.append(name)
      }
    }
    return (jobs, unreadable)
  }

  func remove(_ id: JobID) throws {
    do {
      try FileManager.default.removeItem(at: path(of: id))
    } catch {
      throw TrainerError(.keyOrPermission, "the job's files cannot be removed from the trainer's store")
    }
  }

  /// Bytes of the job's files.
  func storedBytes(of id: JobID) -> Int {
    let folder = path(of: id)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.reduce(0) { total, name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: folder.appending(path: name).path)
      return total + ((attributes?[.size] as? Int) ?? 0)
    }
  }
}
