import Datasets
package import Files
package import Foundation
package import Foundations
package import Masking
import Numerics
import Protocol

/// The files of a deployment at its owner: the record, the keys in force, and a directory for each client, to be given to it. Everything is the
/// owner's alone (0600 and 0700).
package struct DeploymentDirectory: Sendable {
  package let root: URL

  package init(root: URL) {
    self.root = root
  }

  package var record: URL { root.appending(path: "deployment.json") }
  var keys: URL { root.appending(path: "keys") }
  var clients: URL { root.appending(path: "clients") }
  /// What all clients' directories have a link to.
  private var embedding: URL { root.appending(path: "embedding.safetensors") }

  package var exists: Bool { FileManager.default.fileExists(atPath: record.path) }

  /// Keeps the directory for this process: two that change a deployment would write revisions over each other.
  ///
  /// - Parameters: as of `DirectoryLease.ofDeployments`.
  /// - Throws: as it.
  package func lease(
    waiting: @escaping (String) -> Void, isCancelled: @escaping () -> Bool = { false },
    onLoss: @escaping @Sendable (OwnerError) -> Void
  ) throws -> DirectoryLease {
    try .ofDeployments(
      LeasePlace(directory: root, file: "deployment.lease", subject: "the deployment"), waiting: waiting,
      isCancelled: isCancelled, onLoss: onLoss)
  }

  /// Makes the directory, or empties it of what a command left that was killed before it had written a record.
  ///
  /// - Throws: `OwnerError.run` where something else is in it.
  func clear() throws {
    try Directory.create(root.path)
    let isOwn = { (name: String) in name == "keys" || name.hasPrefix("deployment.lease") }
    let others = try Directory.names(in: root.path).filter { !isOwn($0) && !AtomicFile.isTemporaryName($0) }
    guard others.isEmpty else {
      throw OwnerError.run("\(root.path) is not empty and holds no deployment; choose another --out")
    }
    try Directory.create(keys.path)
    try removeKeys(except: [])
  }

  // MARK: - The record

  /// - Throws: `OwnerError.run` where there is none, or one of another version; `FileError`.
  package func load() throws -> DeploymentRecord {
    guard
      let record = try RunFile.read(
        DeploymentRecord.self, versions: DeploymentRecord.versions, from: record, limit: 64 << 20,
        advice: "use the program that made it")
    else {
      throw OwnerError.run("\(root.path) holds no deployment; make one with `encryptor deploy`")
    }
    try record.check()
    return record
  }

  func save(_ record: DeploymentRecord) throws {
    try record.check()
    try RunFile.write(record, to: self.record)
  }

  // MARK: - Keys

  private func keyFile(_ number: Int) -> MasterKeyFile {
    MasterKeyFile(path: keys.appending(path: "\(number).key").path)
  }

  /// A key of the deployment.
  ///
  /// - Throws: `MaskingError` for a file that is not there, or not this deployment's.
  package func key(_ number: Int, of deployment: JobID) throws -> MasterKey {
    try keyFile(number).read(job: deployment)
  }

  func writeKey(_ key: MasterKey, _ number: Int) throws {
    try Directory.create(keys.path)
    try keyFile(number).write(key)
  }

  /// Removes the keys that no copy in use is masked under.
  func removeKeys(except numbers: Set<Int>) throws {
    for name in try Directory.names(in: keys.path) where name.hasSuffix(".key") {
      guard let number = Int(name.dropLast(4)), !numbers.contains(number) else { continue }
      try Directory.remove(keys.appending(path: name).path)
    }
  }

  // MARK: - Clients

  package func client(_ name: String) -> ClientDirectory {
    ClientDirectory(root: clients.appending(path: name))
  }

  /// Writes every client's directory as the record has it; one that is as it should be stays.
  ///
  /// - Parameter material: read where some file of it is missing.
  func writeClients<Element: FloatingElement>(
    _ record: DeploymentRecord, material: () throws -> ClientMaterial<Element>
  ) throws {
    try Directory.create(clients.path)
    var read: ClientMaterial<Element>?
    for client in record.clients {
      let directory = self.client(client.name)
      let description = ClientDescription(record, client)
      if !directory.isComplete(description) {
        let present = try read ?? material()
        read = present
        if let vectors = present.embedding, !FileManager.default.fileExists(atPath: embedding.path) {
          try EmbeddingFile.write(vectors, to: embedding)
        }
        try directory.create(present, sharing: present.embedding == nil ? nil : embedding)
      }
      try directory.write(description, key: try key(client.keyNumber, of: record.id))
    }
    // What else is there was put there by somebody: archives to be handed over, other directories.
    for name in try Directory.names(in: clients.path) where record.client(named: name) == nil {
      if client(name).isOf(record.id) { try client(name).remove() }
    }
  }
}

extension DirectoryLease {
  /// A lease of a deployment's directory, or a client's, with errors that name it.
  ///
  /// - Parameters:
  ///   - waiting: called with a reason when it has to wait, for as long as a process of another machine may be alive that has it.
  ///   - isCancelled: asked while it waits; true ends the wait.
  ///   - onLoss: called on another thread when another process has taken it over; nothing may be written to it then.
  /// - Throws: `OwnerError.run` that names who has it; `.trainerGone` when cancelled; `LeaseError.damaged`; `FileError`.
  static func ofDeployments(
    _ place: LeasePlace, waiting: @escaping (String) -> Void, isCancelled: @escaping () -> Bool,
    onLoss: @escaping @Sendable (OwnerError) -> Void
  ) throws -> DirectoryLease {
    let name = "\(place.subject) \(place.directory.path)"
    do {
      return try DirectoryLease(
        place, waiting: waiting, isCancelled: isCancelled,
        onLoss: { _ in
          onLoss(
            .run("another process has taken \(name) over, because this one did not renew its lease for too long"))
        })
    } catch LeaseError.held(_, let holder) {
      throw OwnerError.run("\(name) is in use by \(holder); wait until that one ends, or end it")
    } catch is CancellationError {
      throw OwnerError.trainerGone("interrupted while waiting for \(name)")
    }
  }
}
