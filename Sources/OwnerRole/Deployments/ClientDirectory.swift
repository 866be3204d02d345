import Datasets
import Families
package import Files
package import Foundation
package import Foundations
package import Masking
package import Numerics
import Protocol

/// `client.json`: which deployment a client may ask, where, and what it must know of the model. No secret in it.
package struct ClientDescription: Codable, Sendable, Equatable {
  /// The form of the file.
  package static let currentVersion = 1

  package var version = currentVersion
  package let deployment: JobID
  package let name: String
  /// ZeroMQ endpoint and public key (z85) of the host.
  package let host: String
  package let hostKey: String
  /// Public keys (z85) of the deployment's owner, who seals new keys, and of the client.
  package let owner: String
  package let client: String
  /// Which of the deployment's keys is in `masking.key`.
  package var keyNumber: Int
  /// `MasterKey.check` of that key; nil in a directory from before this was kept. With another one in the file, as after a kill between the two or
  /// a copy put back, the host is asked for the key again.
  package var keyCheck: String?
  package let shape: QuestionShape
  /// Nil where another has trained the model, as far as the owner's files tell, and of a deployment from before this was kept.
  package let training: HostTraining?

  init(_ record: DeploymentRecord, _ client: DeploymentRecord.Client) {
    deployment = record.id
    name = client.name
    host = record.host
    hostKey = record.hostKey
    owner = record.owner
    self.client = client.key
    keyNumber = client.keyNumber
    shape = record.shape
    training = record.training
  }

  package func check(_ file: URL) throws(OwnerError) {
    do throws(OwnerError) { try shape.check() } catch {
      throw .run("\(file.path): \(error.description); ask the deployment's owner for the directory again")
    }
    guard (1...(1 << 40)).contains(keyNumber), training?.isPossible ?? true,
      [hostKey, owner, client].allSatisfy({ CurvePublicKey(z85: $0) != nil })
    else {
      throw .run("\(file.path) is damaged; ask the deployment's owner for the directory again")
    }
  }
}

/// What a client has of a deployment, and all that it needs beside its own CURVE key.
///
/// `client.json`, `masking.key`, and as the model has them `standardization.safetensors` and `embedding.safetensors`. `questions.json` is the
/// client's own: which numbers it has used.
package struct ClientDirectory: Sendable {
  package let root: URL

  package init(root: URL) {
    self.root = root
  }

  package var description: URL { root.appending(path: "client.json") }
  package var maskingKey: URL { root.appending(path: "masking.key") }
  private var standardization: URL { root.appending(path: "standardization.safetensors") }
  private var embedding: URL { root.appending(path: "embedding.safetensors") }
  private var questions: URL { root.appending(path: "questions.json") }

  /// Keeps the directory for this process: numbers of questions of two at once would pass each other, and so would those of a copy of it.
  ///
  /// - Parameters: as of `DirectoryLease.ofDeployments`.
  /// - Throws: as it.
  package func lease(
    waiting: @escaping (String) -> Void, isCancelled: @escaping () -> Bool = { false },
    onLoss: @escaping @Sendable (OwnerError) -> Void
  ) throws -> DirectoryLease {
    try .ofDeployments(
      LeasePlace(directory: root, file: "client.lease", subject: "the client's directory"), waiting: waiting,
      isCancelled: isCancelled, onLoss: onLoss)
  }

  // MARK: - At the client

  /// - Throws: `OwnerError.run` where there is none, one of another version, or a damaged one; `FileError`.
  package func load() throws -> ClientDescription {
    guard
      let loaded = try RunFile.read(
        ClientDescription.self, versions: ClientDescription.currentVersion...ClientDescription.currentVersion,
        from: description, limit: 64 << 20,
        advice: "use the program of the deployment's owner")
    else {
      throw OwnerError.run(
        "\(root.path) holds no client.json; give the directory that the deployment's owner made for this client")
    }
    try loaded.check(description)
    return loaded
  }

  /// - Throws: `MaskingError` for a key that cannot be read, or is another deployment's.
  package func key(of deployment: JobID) throws -> MasterKey {
    try MasterKeyFile(path: maskingKey.path).read(job: deployment)
  }

  /// - Throws: `OwnerError.run` for files that are missing or do not fit; `FileError`.
  package func material<Element: FloatingElement>(_ shape: QuestionShape) throws -> ClientMaterial<Element> {
    let fitted = shape.isStandardized ? try ModelDirectory.readStandardization(standardization) : nil
    if shape.isStandardized {
      guard let fitted, fitted.mean.count == shape.features, fitted.scale.count == shape.features else {
        throw OwnerError.run(
          "\(standardization.path) is missing or of another model; ask the deployment's owner for the directory again")
      }
    }
    return ClientMaterial(
      shape: shape, standardization: fitted, embedding: try EmbeddingFile.read(embedding, shape))
  }

  /// Puts a new key of the owner's in the place of the one before. Key first: with the old number beside it, it is handed out once more.
  package func replaceKey(_ key: MasterKey, in present: ClientDescription, number: Int) throws {
    try MasterKeyFile(path: maskingKey.path).write(key, replacing: true)
    var description = present
    description.keyNumber = number
    description.keyCheck = key.check
    try RunFile.write(description, to: self.description)
  }

  // MARK: - Numbers of questions and sessions

  /// Of a question, or a text.
  static let largestNumber = 1 << 52

  private struct Numbers: Codable {
    var version = 1
    var last: Int
  }

  /// Takes `count` numbers that no question and no session of this client has had: the secret of one is never that of another.
  ///
  /// - Parameter answered: the largest that the host has counted; more than is known here after the directory was put back from a copy.
  /// - Returns: the first of them.
  /// - Throws: `OwnerError.run` where there are no more, or the file is damaged.
  package func takeNumbers(_ count: Int, after answered: Int) throws -> Int {
    let known = try RunFile.read(Numbers.self, from: questions) {
      $0.version == 1 && (0...Self.largestNumber).contains($0.last)
    }
    let last = max(known?.last ?? 0, min(max(0, answered), Self.largestNumber))
    guard count <= Self.largestNumber - last else {
      throw OwnerError.run(
        "\(root.path) has numbered as many questions as it can; ask the deployment's owner for another client's directory"
      )
    }
    try RunFile.write(Numbers(last: last + count), to: questions)
    return last + 1
  }

  // MARK: - At the owner

  /// Whether everything but the description and the key is there.
  func isComplete(_ description: ClientDescription) -> Bool {
    let manager = FileManager.default
    return (!description.shape.isStandardized || manager.fileExists(atPath: standardization.path))
      && (description.shape.tokens == nil || manager.fileExists(atPath: embedding.path))
      && manager.fileExists(atPath: root.path)
  }

  /// - Parameter shared: a file of the embedding on the same disk, to which a link is made instead of a copy.
  func create<Element: FloatingElement>(_ material: ClientMaterial<Element>, sharing shared: URL?) throws {
    try Directory.create(root.path)
    if let fitted = material.standardization { try ModelDirectory.writeStandardization(fitted, to: standardization) }
    guard let shared, !FileManager.default.fileExists(atPath: embedding.path) else { return }
    if link(shared.path, embedding.path) != 0 { try RegularFile.copy(shared.path, to: embedding.path) }
  }

  func write(_ description: ClientDescription, key: MasterKey) throws {
    try replaceKey(key, in: description, number: description.keyNumber)
  }

  /// Whether it is a client's directory of this deployment, whole or begun.
  func isOf(_ deployment: JobID) -> Bool {
    (try? load())?.deployment == deployment || (try? key(of: deployment)) != nil
  }

  /// Removes what the owner made; a directory with anything else in it stays.
  func remove() throws {
    for file in [description, maskingKey, standardization, embedding, questions] { try Directory.remove(file.path) }
    rmdir(root.path)
  }
}
