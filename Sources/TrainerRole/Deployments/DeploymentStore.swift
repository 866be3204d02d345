import Files
import Foundation
import Foundations
import Protocol
import Service

/// A deployment as `store/deployments/ID/deployment.json` has it, a `CheckedJSON` since version 2.
struct StoredDeployment: Codable, Sendable, Equatable {
  static let version = 2

  var version = Self.version
  let id: JobID
  /// The z85 form of the public key that deployed it.
  let owner: String
  var description: DeploymentDescription

  init(id: JobID, owner: OwnerKey, description: DeploymentDescription) {
    self.id = id
    self.owner = owner.z85
    self.description = description
  }

  /// - Parameter name: of the folder that `data` was found in.
  /// - Throws: `Unreadable` for what is no such deployment of a version that is read.
  init(json data: Data, inFolder name: String) throws(Unreadable) {
    struct Version: Decodable { let version: Int }
    if let found = try? JSONDecoder().decode(Version.self, from: data), found.version > Self.version {
      throw Unreadable(kind: .laterVersion(found.version))
    }
    guard let (stored, isChecked) = CheckedJSON.decode(Self.self, from: data), isChecked || stored.version == 1,
      (1...Self.version).contains(stored.version), stored.id.description == name, OwnerKey(z85: stored.owner) != nil,
      (try? stored.description.validate()) != nil
    else { throw Unreadable(kind: .damaged) }
    self = stored
  }

  struct Unreadable: Error {
    let kind: DeploymentProblem.Kind
  }
}

/// What the files of a deployment tell.
struct LoadedDeployment {
  let id: JobID
  /// Nil where no file tells it.
  var owner: OwnerKey?
  /// Nil where it is damaged.
  var description: DeploymentDescription?
  /// What could be read of it.
  var book = QuestionBook()
  /// Of the first file that cannot be used; nil where all can.
  var problem: DeploymentProblem?
  var isLogDamaged = false
}

/// What of deployments only the trainer at work knows, by their ids.
struct DeploymentFigures: Codable, Sendable, Equatable {
  struct Deployment: Codable, Sendable, Equatable {
    var memoryBytes: Int
    var medianMilliseconds: Double?
    var slowMilliseconds: Double?
  }

  var deployments: [String: Deployment] = [:]
}

/// The deployments on disk, a folder each: `deployments/ID/deployment.json`, and beside it `questions.log`, to which a line is added
/// before each answer leaves.
struct DeploymentStore: Sendable {
  static let descriptionName = "deployment.json"
  static let logName = "questions.log"

  let directory: URL

  init(store: URL) {
    directory = store.appending(path: "deployments")
  }

  func path(of id: JobID) -> URL {
    directory.appending(path: id.description)
  }

  /// Writes a description, and begins a log where there is none. When it throws, what was in force stays.
  ///
  /// - Throws: `FileError`.
  func save(_ deployment: StoredDeployment, owner: OwnerKey) throws {
    let folder = path(of: deployment.id)
    try Directory.create(folder.path)
    let log = folder.appending(path: Self.logName).path
    if access(log, F_OK) != 0 {
      try write(QuestionBook(), owner: owner, of: deployment.id)
    }
    try AtomicFile.write(
      try CheckedJSON.encode(deployment), to: folder.appending(path: Self.descriptionName).path)
  }

  func logPath(of id: JobID) -> String { path(of: id).appending(path: Self.logName).path }

  /// Puts a log that cannot be read in full aside, over none that was put aside before, and begins another with what could be.
  func replaceDamagedLog(of id: JobID, owner: OwnerKey, with book: QuestionBook) throws {
    let log = logPath(of: id)
    if access(log, F_OK) == 0 {
      var (place, number) = (log + ".damaged", 1)
      while access(place, F_OK) == 0 {
        number += 1
        place = log + ".damaged-\(number)"
      }
      guard rename(log, place) == 0 else { throw FileError.system(.rename, path: log, code: errno) }
    }
    try write(book, owner: owner, of: id)
  }

  /// Writes the log anew, as short as it can be.
  func write(_ book: QuestionBook, owner: OwnerKey, of id: JobID) throws(FileError) {
    try AtomicFile.write(to: logPath(of: id)) { (writer) throws(FileError) in
      try QuestionLog.write(book, owner: owner, to: writer)
    }
  }

  func openLog(of id: JobID) throws(FileError) -> LineLog {
    try LineLog(path: logPath(of: id))
  }

  // MARK: - Figures

  private var figuresPath: String { directory.appending(path: "figures.json").path }

  /// For `trainer status`, which asks no trainer.
  func write(_ figures: DeploymentFigures) throws {
    try Directory.create(directory.path)
    try AtomicFile.write(try JSONEncoder().encode(figures), to: figuresPath)
  }

  /// None where there are none to be read.
  func figures() -> DeploymentFigures {
    guard let data = try? Data(contentsOf: URL(filePath: figuresPath)),
      let figures = try? JSONDecoder().decode(DeploymentFigures.self, from: data)
    else { return DeploymentFigures() }
    return figures
  }

  /// - Throws: `ServiceError` of kind `.keyOrPermission`.
  func remove(_ id: JobID) throws {
    do {
      try FileManager.default.removeItem(at: path(of: id))
    } catch {
      throw ServiceError(.keyOrPermission, "the deployment's files cannot be removed from the trainer's store")
    }
  }

  /// Every deployment, whole or damaged. Writes nothing.
  ///
  /// - Throws: `FileError` when the directory is there and cannot be read.
  func load() throws -> [LoadedDeployment] {
    guard access(directory.path, F_OK) == 0 else { return [] }
    return try Directory.names(in: directory.path).sorted().compactMap { name in
      JobID(hex: name).flatMap(load)
    }
  }

  /// Nil for a folder in which there is nothing of a deployment.
  private func load(_ id: JobID) -> LoadedDeployment? {
    var loaded = LoadedDeployment(id: id)
    let description = path(of: id).appending(path: Self.descriptionName).path
    var isThere = true
    do {
      let stored = try StoredDeployment(json: try LineLog.content(of: description), inFolder: id.description)
      loaded.description = stored.description
      loaded.owner = OwnerKey(z85: stored.owner)
    } catch let error as StoredDeployment.Unreadable {
      loaded.problem = DeploymentProblem(error.kind, path: description)
    } catch {
      let problem = (error as? FileError).map { DeploymentProblem($0, path: description) }
      loaded.problem = problem ?? DeploymentProblem(.damaged, path: description)
      isThere = loaded.problem?.kind != .damaged
    }
    readLog(into: &loaded)
    // A log that has an owner is one of a deployment, of which nothing may have been asked yet.
    return isThere || loaded.owner != nil || loaded.book != QuestionBook() ? loaded : nil
  }

  private func readLog(into loaded: inout LoadedDeployment) {
    let path = logPath(of: loaded.id)
    var problem: DeploymentProblem?
    do throws(FileError) {
      let log = try QuestionLog.read(path)
      loaded.book = log.book
      if let version = log.laterVersion {
        problem = DeploymentProblem(.laterVersion(version), path: path)
      } else if !log.isWhole || loaded.owner.map({ $0 != log.owner }) == true {
        problem = DeploymentProblem(.damaged, path: path)
      }
      loaded.owner = loaded.owner ?? log.owner
    } catch {
      problem = DeploymentProblem(error, path: path)
    }
    loaded.isLogDamaged = problem?.kind == .damaged
    // What its owner cannot mend comes first: what is there is not to be written over.
    if let problem, loaded.problem?.isMendedByOwner != false {
      loaded.problem = problem.isMendedByOwner ? loaded.problem ?? problem : problem
    }
  }
}
