import Models
import Files
import Foundations
import Foundation
import Numerics
import Protocol

/// A job as it is written to the store.
struct StoredJob: Codable, Sendable {
  enum Phase: String, Codable, Sendable {
    /// Starting weights, or rows of a job whose loss the trainer computes, are still arriving.
    case uploading
    /// Can run whenever its turn comes.
    case ready
    /// All steps done; the last checkpoint holds the result.
    case finished
    case failed
  }

  let id: JobID
  /// The z85 form of the public key that submitted it; nobody else sees the job.
  let owner: String
  let description: JobDescription
  var phase: Phase
  var failure: String?

  init(id: JobID, owner: String, description: JobDescription, phase: Phase, failure: String?) {
    self.id = id
    self.owner = owner
    self.description = description
    self.phase = phase
    self.failure = failure
  }

  private enum CodingKeys: CodingKey {
    case id, owner, description, phase, failure
  }

  /// Also what a trainer of wire version 2 has written.
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    id = try container.decode(JobID.self, forKey: .id)
    owner = try container.decode(String.self, forKey: .owner)
    phase = try container.decode(Phase.self, forKey: .phase)
    failure = try container.decodeIfPresent(String.self, forKey: .failure)
    enum Model: CodingKey { case graph }
    let hasGraph = try container.nestedContainer(keyedBy: Model.self, forKey: .description).contains(.graph)
    description =
      hasGraph
      ? try container.decode(JobDescription.self, forKey: .description)
      : try container.decode(JobDescriptionVersion2.self, forKey: .description).description
  }
}

/// A job as the service thread knows it.
struct JobRecord<Element: FloatingElement> {
  var stored: StoredJob
  /// The connection on which its owner uploads, trains or follows: where a runner's messages go. Questions that come over
  /// another one of the same owner (`status`, `cancel`) are answered there and change nothing here.
  var peer: PeerID
  /// The most that it may come to hold on disk; nil until it is asked for.
  var diskNeeded: Int?
  var upload: ParameterUpload<Element>?
  var data: UploadedData<Element>?
  /// Steps of history the owner holds; set while it is attached and waits for its turn or trains.
  var attachedHistory: Int?
  /// Whether the owner wants to hear of the history as it is made.
  var follows = false
  var step = 0
  /// Who asked to cancel it while it ran; it is removed once the runner has ended.
  var canceller: PeerID?
  /// This process's CPU seconds when the job was last started, and what it took in all before that.
  var startedAt: Double?
  var processorSeconds = 0.0
  /// The connection on which its owner last submitted it or came back to it.
  var submitter: PeerID?
  /// The connection that fetches the result.
  var retriever: PeerID?
  /// Loaded while the owner retrieves.
  var result: WeightRetrieval<Element>?

  var id: JobID { stored.id }
  var isAutonomous: Bool { stored.description.purpose == .training && stored.description.lossLocation == .trainer }
  /// Whether it could run now.
  var isRunnable: Bool { stored.phase == .ready && (isAutonomous || attachedHistory != nil) }
}

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
