import Files
package import Foundations
package import Foundation
import Protocol

/// What an owner submits, as the store keeps it.
package protocol JobContent: Codable, Equatable, Sendable {
  /// - Throws: for what this version would not take.
  func validate() throws

  /// Reads what a server has stored, of this version or of one before; by default what `encode` writes.
  init(stored decoder: any Decoder) throws

  /// Whether it goes on while its owner is away.
  var isAutonomous: Bool { get }

  /// Whether it is of no use to anybody once its owner's connection has ended.
  var endsWithOwner: Bool { get }

  /// Whether it never runs: what its owner uploads is kept for what others ask of it.
  var isKept: Bool { get }

  /// Steps (of training, or whatever the role counts) until it is done; 0 where there is no such number.
  var totalSteps: Int { get }

  /// Whether its answers' values travel as bfloat16 numbers.
  var narrowsValues: Bool { get }
}

extension JobContent {
  package init(stored decoder: any Decoder) throws {
    try self.init(from: decoder)
  }

  package var isAutonomous: Bool { false }

  package var endsWithOwner: Bool { false }

  package var isKept: Bool { false }

  package var totalSteps: Int { 0 }

  package var narrowsValues: Bool { false }
}

/// A job as it is written to the store.
package struct StoredJob<Content: JobContent>: Codable, Sendable {
  package let id: JobID
  /// The z85 form of the public key that submitted it; nobody else sees the job.
  package let owner: String
  package let description: Content
  package var phase: JobPhase
  package var failure: String?

  package init(id: JobID, owner: String, description: Content, phase: JobPhase, failure: String? = nil) {
    self.id = id
    self.owner = owner
    self.description = description
    self.phase = phase
    self.failure = failure
  }

  private enum CodingKeys: CodingKey {
    case id, owner, description, phase, failure
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    id = try container.decode(JobID.self, forKey: .id)
    owner = try container.decode(String.self, forKey: .owner)
    phase = try container.decode(JobPhase.self, forKey: .phase)
    failure = try container.decodeIfPresent(String.self, forKey: .failure)
    description = try Content(stored: container.superDecoder(forKey: .description))
  }

  /// - Parameter name: of the folder that `data` was found in.
  /// - Returns: nil for what is no such job of this version.
  package init?(json data: Data, inFolder name: String) {
    guard let job = try? JSONDecoder().decode(Self.self, from: data), job.id.description == name,
      (try? job.description.validate()) != nil
    else { return nil }
    self = job
  }
}

/// Where a job stands on disk.
package enum JobPhase: String, Codable, Sendable {
  /// What it needs from its owner before it can run is still arriving.
  case uploading
  /// Can run whenever its turn comes.
  case ready
  /// All steps done; the result is durable.
  case finished
  case failed
}

/// The jobs on disk: `jobs/ID/job.json`, and beside it whatever the role keeps of the job.
///
/// A job's directory belongs to one server at a time. Everything durable is written beside its place and renamed, so that a kill
/// at any moment leaves the old or the new file.
package struct JobStore<Content: JobContent>: Sendable {
  package let directory: URL

  /// Creates `store/jobs`, readable by this user alone.
  ///
  /// - Throws: `FileError` that names what cannot be made.
  package init(store: URL) throws {
    directory = StoreFormat.jobs(in: store)
    try Directory.create(directory.path)
  }

  package func path(of id: JobID) -> URL {
    directory.appending(path: id.description)
  }

  package func save(_ job: StoredJob<Content>) throws {
    let folder = path(of: job.id)
    try Directory.create(folder.path)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(try encoder.encode(job), to: folder.appending(path: "job.json").path)
  }

  /// Every readable job, rid of what a kill left half-written; a folder without a readable `job.json` is reported by name and left
  /// alone. Called before anything runs.
  package func load() throws -> (jobs: [StoredJob<Content>], unreadable: [String]) {
    var jobs: [StoredJob<Content>] = []
    var unreadable: [String] = []
    let names = try Directory.names(in: directory.path).sorted()
    for name in names {
      let folder = directory.appending(path: name)
      if let data = try? Data(contentsOf: folder.appending(path: "job.json")),
        let job = StoredJob<Content>(json: data, inFolder: name)
      {
        try AtomicFile.removeLeftovers(in: folder.path)
        jobs.append(job)
      } else {
        unreadable.append(name)
      }
    }
    return (jobs, unreadable)
  }

  /// - Parameter program: the server, as in `trainer`.
  /// - Throws: `ServiceError` of kind `.keyOrPermission`.
  package func remove(_ id: JobID, of program: String) throws {
    do {
      try FileManager.default.removeItem(at: path(of: id))
    } catch {
      throw ServiceError(.keyOrPermission, "the job's files cannot be removed from the \(program)'s store")
    }
  }

  /// Bytes of the job's files.
  package func storedBytes(of id: JobID) -> Int {
    let folder = path(of: id)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.reduce(0) { total, name in
      let attributes = try? FileManager.default.attributesOfItem(atPath: folder.appending(path: name).path)
      return total + ((attributes?[.size] as? Int) ?? 0)
    }
  }
}
