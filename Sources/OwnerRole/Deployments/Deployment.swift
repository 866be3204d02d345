import Cryptography
import Files
import Foundation
import Foundations
import Masking
import Models
package import Numerics
package import Protocol

/// A deployment at its owner: its directory, the owner's own key, and what can be changed of it.
///
/// Every change is a new revision of the record, written before anything is sent; `bringIntoForce` does the rest and may be repeated as often as
/// the connection is lost or the process killed.
package struct Deployment<Element: FloatingElement> {
  package let directory: DeploymentDirectory
  package private(set) var record: DeploymentRecord
  private let owner: CurveKeyPair

  /// Opens one.
  ///
  /// - Throws: `OwnerError.run` for a directory without one; `.otherKey` for another owner's key.
  package init(opening directory: DeploymentDirectory, owner: CurveKeyPair) throws {
    self.directory = directory
    self.owner = owner
    record = try directory.load()
    guard record.owner == owner.publicKey.z85 else {
      throw OwnerError.otherKey(
        "the deployment was made with the owner key \(record.owner); put it back into \(record.keys)")
    }
  }

  /// Begins one: its record, first key and clients' directories.
  ///
  /// - Parameters:
  ///   - directory: empty, or not there yet.
  ///   - clients: none twice, by name or key.
  /// - Throws: `OwnerError.run` for a directory that is not empty, or clients that collide; what `MaskingError` says of keys.
  package init(
    in directory: DeploymentDirectory, owner: CurveKeyPair, keys: String, host: String, hostKey: CurvePublicKey,
    source: ModelSource, model: DeployableModel, clients: [NewClient], separateKeys: Bool, maximumRows: Int?
  ) throws {
    try directory.clear()
    self.directory = directory
    self.owner = owner
    record = DeploymentRecord(
      id: .random(), host: host, hostKey: hostKey.z85, keys: keys, owner: owner.publicKey.z85, source: source,
      shape: model.questionShape, training: try source.training(at: hostKey),
      weights: try model.weightsHash(in: Element.self), separateKeys: separateKeys,
      maximumRows: maximumRows, revision: 1, inForce: 0, change: Self.beginning,
      isTakenDown: false, nextKeyNumber: 1, copies: [], clients: [])
    if record.shape.precision != nil { record.version = DeploymentRecord.versions.upperBound }
    try admit(clients)
    try directory.save(record)
  }

  /// The `change` of a first revision.
  package static var beginning: String { "deploy" }

  // MARK: - Changes

  /// Begins a change, unless it was begun before and is not in force yet.
  ///
  /// - Parameters:
  ///   - change: as the command says it, without the directory, which may have another path by the next time.
  ///   - make: what the record is to be.
  /// - Throws: `OwnerError.run` while another change is not in force, and for a deployment that is taken down.
  package mutating func begin(_ change: String, _ make: (inout Deployment) throws -> Void) throws {
    guard !record.isTakenDown else {
      throw OwnerError.run("\(directory.root.path) is taken down; make a new deployment with `encryptor deploy`")
    }
    if try isPending(change) { return }
    try make(&self)
    record.revision += 1
    record.change = change
    try directory.save(record)
  }

  /// Whether a change was begun and is not in force yet.
  ///
  /// - Throws: `OwnerError.run` while another one is not.
  package func isPending(_ change: String) throws -> Bool {
    guard record.isPending else { return false }
    let pending = PendingChange(record.change)
    if pending.text == change { return true }
    throw OwnerError.run(
      "a change of \(directory.root.path) (\(pending.text)) is not in force yet; finish it with "
        + "`\(pending.command(directory.root.path))` first")
  }

  /// Notes that the host has another address. Clients hear of it by their directories, once these are written and given to them anew.
  package mutating func move(to host: String) throws {
    guard record.host != host else { return }
    record.host = host
    try directory.save(record)
  }

  /// Sets how many rows are answered in all; nil for no limit.
  package mutating func limit(rows: Int?) {
    record.maximumRows = rows
  }

  /// Lets clients in: each under the key that the others share, or under one of its own.
  package mutating func admit(_ clients: [NewClient]) throws {
    for client in clients {
      guard record.client(named: client.name) == nil else {
        throw OwnerError.run("there is a client \(client.name) already; choose another name")
      }
      guard record.clients.allSatisfy({ $0.key != client.key.z85 }) else {
        throw OwnerError.run(
          "client \(client.name) has the same key as another; each client needs its own, made by `encryptor keygen`")
      }
      guard record.clients.count < DeploymentDescription.maximumClients else {
        throw OwnerError.run("a deployment has at most \(DeploymentDescription.maximumClients) clients")
      }
      let number: Int
      if !record.separateKeys, let shared = record.sharedKey {
        number = shared
      } else {
        number = try addKey()
        if !record.separateKeys { record.sharedKey = number }
      }
      record.clients.append(
        DeploymentRecord.Client(
          name: client.name, key: client.key.z85, keyNumber: number, package: try sealed(number, client.key)))
    }
  }

  /// Takes a client's leave to ask. A key that it shares with others stays known to it.
  package mutating func withdraw(_ name: String) throws {
    guard record.client(named: name) != nil else {
      throw OwnerError.run("there is no client \(name); `encryptor clients \(directory.root.path)` lists them")
    }
    record.clients.removeAll { $0.name == name }
    if let shared = record.sharedKey, record.clients.allSatisfy({ $0.keyNumber != shared }) { record.sharedKey = nil }
  }

  /// Puts new keys in the place of all, or of one client's.
  ///
  /// - Parameter name: who gets a key of its own; nil for all.
  package mutating func rotate(_ name: String?) throws {
    if let name, record.client(named: name) == nil {
      throw OwnerError.run("there is no client \(name); `encryptor clients \(directory.root.path)` lists them")
    }
    guard !record.clients.isEmpty else {
      throw OwnerError.run("the deployment has no clients whose key could be changed")
    }
    var successors: [Int: Int] = [:]
    for (index, client) in record.clients.enumerated() where name == nil || client.name == name {
      // Who had a key together has one together.
      let number = try successors[client.keyNumber] ?? addKey()
      successors[client.keyNumber] = number
      guard let key = CurvePublicKey(z85: client.key) else { throw OwnerError.run("client \(client.name) has no key") }
      record.clients[index].keyNumber = number
      record.clients[index].package = try sealed(number, key)
    }
    if let shared = record.sharedKey, name == nil || record.clients.allSatisfy({ $0.keyNumber != shared }) {
      record.sharedKey = name == nil ? successors[shared] : nil
    }
  }

  private mutating func addKey() throws -> Int {
    let number = record.nextKeyNumber
    record.nextKeyNumber += 1
    // A file of that number is of a command that was killed before it wrote the record.
    if (try? directory.key(number, of: record.id)) == nil { try directory.writeKey(MasterKey(for: record.id), number) }
    record.copies.append(DeploymentRecord.Copy(keyNumber: number, job: .random()))
    return number
  }

  private func sealed(_ number: Int, _ client: CurvePublicKey) throws -> Data {
    Data(
      try SealedMasterKey.seal(
        directory.key(number, of: record.id), number: number, to: client.bytes, from: try owner.agreement()))
  }

  // MARK: - In force

  /// Uploads what is missing and puts the record's revision in force; then what nobody is sent to any more is forgotten.
  ///
  /// - Parameters:
  ///   - model: what `record.source` names, read where a copy may have to be uploaded.
  ///   - checkingAll: asks for every copy whether the host has it, not only for new ones: after a host has lost its store.
  /// - Throws: as `HostedDeployment.bringIntoForce`.
  @discardableResult
  package mutating func bringIntoForce(
    at host: HostedDeployment<Element>, checkingAll: Bool = false, model: () throws -> DeployableModel,
    observe: (HostedDeployment<Element>.Event) -> Void = { _ in }
  ) throws -> DeploymentStatus {
    let (directory, id) = (directory, record.id)
    var opened: DeployableModel?
    /// Looked at before anything of it is sent: a copy that a host has is not compared again.
    func checkedModel() throws -> DeployableModel {
      if let opened { return opened }
      let found = try model()
      let weights = try found.weightsHash(in: Element.self)
      if let known = record.weights, known != weights { throw OwnerError.otherWeights }
      if record.weights == nil {
        record.weights = weights
        try directory.save(record)
      }
      opened = found
      return found
    }
    let status = try host.bringIntoForce(
      try record.description(), copies: record.copiesInUse.filter { checkingAll || !$0.isHosted },
      key: { try directory.key($0, of: id) }, model: checkedModel, observe: observe)
    // Only now: a client's directory is never ahead of the host.
    try directory.writeClients(record) { () throws -> ClientMaterial<Element> in try checkedModel().material() }
    record.inForce = record.revision
    record.copies = record.copiesInUse
    for index in record.copies.indices { record.copies[index].isHosted = true }
    try directory.save(record)
    try directory.removeKeys(except: Set(record.copies.map(\.keyNumber)))
    return status
  }

  /// Takes it down with every copy that the record knows of, those that never came into force included, and removes its keys. May be repeated.
  ///
  /// - Returns: whether the host had anything of it.
  /// - Throws: as `HostedDeployment.undeploy`.
  package mutating func takeDown(at host: HostedDeployment<Element>) throws -> Bool {
    var wasThere = try host.isThere()
    if wasThere { try host.undeploy() }
    // The host knows these by their ids alone, which are nowhere else.
    for copy in record.copies {
      if try host.remove(copy.job) { wasThere = true }
    }
    try noteTakenDown()
    return wasThere
  }

  /// Notes that the host has it no more, and removes its keys, those in the clients' directories too.
  private mutating func noteTakenDown() throws {
    record.isTakenDown = true
    record.inForce = record.revision
    try directory.save(record)
    try directory.removeKeys(except: [])
    for client in record.clients { try Directory.remove(directory.client(client.name).maskingKey.path) }
  }
}

/// A change as the record has it: `rotate --client ward`.
struct PendingChange {
  let text: String

  /// - Parameter recorded: also as records of before have it, with the directory behind the command's name.
  init(_ recorded: String) {
    let words = recorded.split(separator: " ", maxSplits: 1).map(String.init)
    guard words.count == 2, !words[1].hasPrefix("--") else {
      text = recorded
      return
    }
    let options = words[1].firstRange(of: " --").map { String(words[1][$0.lowerBound...]) } ?? ""
    text =
      words[0]
      + options.replacing(#/ --add ([^= ]+)=(\S+)/#) {
        " --add \($0.1)=\(URL(filePath: String($0.2)).standardizedFileURL.path)"
      }
  }

  /// What finishes it.
  func command(_ directory: String) -> String {
    let words = text.split(separator: " ", maxSplits: 1).map(String.init)
    if text == "deploy" { return "encryptor deploy … --out \(directory)" }
    return (["encryptor", words[0], directory] + words.dropFirst()).joined(separator: " ")
  }
}

extension CurveKeyPair {
  /// The same pair for boxes: CURVE's keys are X25519's.
  func agreement() throws -> KeyAgreement {
    try withSecretBytes { secret in try KeyAgreement(secret: secret) }
  }
}
