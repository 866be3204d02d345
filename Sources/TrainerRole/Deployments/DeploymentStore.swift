import Files
import Foundation
import Foundations
import Protocol
import Service

/// A deployment as `store/deployments/ID/deployment.json` has it.
struct StoredDeployment: Codable, Sendable, Equatable {
  static let version = 1

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
  /// - Returns: nil for what is no such deployment of this version.
  init?(json data: Data, inFolder name: String) {
    guard let stored = try? JSONDecoder().decode(Self.self, from: data), stored.version == Self.version,
      stored.id.description == name, OwnerKey(z85: stored.owner) != nil, (try? stored.description.validate()) != nil
    else { return nil }
    self = stored
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
  /// The file that cannot be used; nil where all can.
  var damagedFile: String?
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
      try AtomicFile.write(Data((QuestionLogHead(owner: owner).text + "\n").utf8), to: log)
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(try encoder.encode(deployment), to: folder.appending(path: Self.descriptionName).path)
  }

  /// Puts a log that cannot be read in full aside and begins another with what could be.
  func replaceDamagedLog(of id: JobID, owner: OwnerKey, with book: QuestionBook) throws {
    let log = path(of: id).appending(path: Self.logName).path
    if access(log, F_OK) == 0, rename(log, log + ".damaged") != 0 {
      throw FileError.system(.rename, path: log, code: errno)
    }
    try write(book, owner: owner, of: id)
  }

  /// Writes the log anew, as short as it can be.
  func write(_ book: QuestionBook, owner: OwnerKey, of id: JobID) throws {
    let lines = [QuestionLogHead(owner: owner).text] + book.records.map(\.text)
    try AtomicFile.write(
      Data((lines.joined(separator: "\n") + "\n").utf8), to: path(of: id).appending(path: Self.logName).path)
  }

  func openLog(of id: JobID) throws -> LineLog {
    try LineLog(path: path(of: id).appending(path: Self.logName).path)
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

  /// Nil for a folder in which nothing was ever in force: a kill came between its two files.
  private func load(_ id: JobID) -> LoadedDeployment? {
    let folder = path(of: id)
    var loaded = LoadedDeployment(id: id)
    let data = try? Data(contentsOf: folder.appending(path: Self.descriptionName))
    let stored = data.flatMap { StoredDeployment(json: $0, inFolder: id.description) }
    loaded.description = stored?.description
    loaded.owner = stored.flatMap { OwnerKey(z85: $0.owner) }
    if stored == nil { loaded.damagedFile = folder.appending(path: Self.descriptionName).path }
    readLog(into: &loaded, in: folder)
    if data == nil, loaded.book == QuestionBook() { return nil }
    return loaded
  }

  private func readLog(into loaded: inout LoadedDeployment, in folder: URL) {
    let path = folder.appending(path: Self.logName).path
    // A torn last line is what a kill leaves.
    let content = (try? LineLog.content(of: path)) ?? Data()
    let lines = content.prefix((content.lastIndex(of: 0x0A) ?? -1) + 1).split(separator: 0x0A).map {
      String(decoding: $0, as: UTF8.self)
    }
    if let head = lines.first.flatMap(QuestionLogHead.init), loaded.owner == nil || loaded.owner == head.owner {
      loaded.owner = head.owner
    } else {
      loaded.isLogDamaged = true
    }
    // What can be read counts whatever else is damaged.
    for line in lines.dropFirst() {
      guard let record = QuestionRecord(line), loaded.book.add(record) else {
        loaded.isLogDamaged = true
        continue
      }
    }
    if loaded.isLogDamaged { loaded.damagedFile = loaded.damagedFile ?? path }
  }
}
