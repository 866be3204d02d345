import ArgumentParser
import Files
import Foundation
import Foundations
import Models
import Numerics
import OwnerRole
import Protocol

/// A deployment directory that exists, at its owner.
struct DeploymentOption: ParsableArguments {
  @Argument(help: "The deployment's directory, as `encryptor deploy` made it.", completion: .directory)
  var deployment: String

  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption<OwnerWords>

  var directory: DeploymentDirectory { DeploymentDirectory(root: URL(filePath: deployment)) }

  /// Opens it for this process alone and calls `body` with it and its host.
  func use<Value>(
    compute: Compute = Compute(threads: 1),
    _ body: (inout Deployment<Float>, HostedDeployment<Float>) throws -> Value
  ) throws -> Value {
    // A directory without a deployment is not to get a lease.
    let keys = try directory.load().keys
    let lease = try RunHold.take(directory)
    defer { lease.release() }
    let owner = try KeyFile(.owner, in: keys).readKeyPair()
    var opened = try Deployment<Float>(opening: directory, owner: owner)
    return try DeploymentHost.use(
      opened.record.host, listen: place.listen, owner: owner, hostKey: opened.record.hostKey, id: opened.record.id,
      patience: waiting.patience, compute: compute
    ) { try body(&opened, $0) }
  }
}

/// A connection of an owner to the host of its deployments.
enum DeploymentHost {
  static func use<Value>(
    _ address: String, listen: String?, owner: CurveKeyPair, hostKey: String, id: JobID, patience: Int,
    compute: Compute, _ body: (HostedDeployment<Float>) throws -> Value
  ) throws -> Value {
    guard let key = CurvePublicKey(z85: hostKey) else { throw OwnerError.run("the record holds no trainer key") }
    let place = try TrainerPlace(endpoint: address, listen: listen, ownerKeys: owner, trainerKey: key)
    defer { place.channel.close() }
    return try body(
      HostedDeployment(
        channel: place.channel, deployment: id,
        options: RunOptions(
          compute: compute, patience: .seconds(patience), software: Release.software, peer: place.peer)))
  }
}

/// `--max-rows`.
enum RowLimit {
  static func check(_ rows: Int?) throws {
    if let rows, !(1...(1 << 50)).contains(rows) { throw ValidationError("--max-rows must be 1 … 2^50") }
  }
}

/// NAME=FILE, as clients are given.
struct ClientArgument: ExpressibleByArgument {
  let name: String
  let file: String

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[1].isEmpty else { return nil }
    (name, file) = (String(parts[0]), String(parts[1]))
  }

  func read() throws -> NewClient { try NewClient(name: name, key: KeyFile.readPublicKey(at: file)) }
}

/// What is shown of changes while they are brought into force.
struct UploadProgress {
  private let progress = CountDisplay("uploading masked weights:")

  func show(_ event: HostedDeployment<Float>.Event) {
    switch event {
    case .uploading(_, let chunk, let count): progress.show(chunk, of: count)
    case .inForce: progress.end()
    }
  }
}

/// Deployments as tables.
enum DeploymentText {
  static func clients(_ record: DeploymentRecord, _ status: DeploymentStatus?) -> [String] {
    let asked = Dictionary((status?.clients ?? []).map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
    return TextTable(
      header: ["client", "key", "questions", record.shape.tokens == nil ? "rows" : "tokens"],
      rows: record.clients.map { client in
        let found = asked[client.key]
        return [
          client.name, "\(client.keyNumber)", found.map { QuantityText.count($0.questions) } ?? "–",
          found.map { QuantityText.count($0.rows) } ?? "–",
        ]
      }, numeric: true
    ).lines + (status.map(damage) ?? [])
  }

  static func list(_ list: [DeploymentStatus]) -> [String] {
    TextTable(
      header: ["deployment", "revision", "clients", "questions", "rows", "of", "p50 ms", "p95 ms", "in memory"],
      rows: list.map { status in
        [
          status.id.description, "\(status.revision)", QuantityText.count(status.clientCount ?? status.clients.count),
          QuantityText.count(status.questions), QuantityText.count(status.rows),
          status.maximumRows.map(QuantityText.count) ?? "–", milliseconds(status.medianMilliseconds),
          milliseconds(status.slowMilliseconds), ByteSize.wholeText(status.memoryBytes),
        ]
      }, numeric: true
    ).lines + list.flatMap(damage)
  }

  private static func damage(_ status: DeploymentStatus) -> [String] {
    guard let file = status.damaged else { return [] }
    return ["\(status.id) is not served: the host cannot use its \(file); deploy it again, or ask the host's operator"]
  }

  private static func milliseconds(_ value: Double?) -> String { value.map { QuantityText.fixed($0, 1) } ?? "–" }

  /// What the rows that a host has seen are good for.
  static func seen(_ rows: Int, of maximum: Int?, by description: ClientDescription) -> String {
    let shape = description.shape
    let seen = SeenRows(
      rows, training: description.training, input: shape.input, readsTokens: shape.tokens != nil,
      hasNoise: shape.masking.noise != nil)
    let limit =
      maximum.map { "At most \(QuantityText.count($0)) are answered." }
      ?? "The deployment's owner can limit them (--max-rows)."
    return "\(seen.text) \(limit) `encryptor audit` measures it."
  }
}
