import Foundation
import Foundations
import Models
import Numerics
import Protocol
import Service
import TestSupport
import Training
import TrainerRole

/// A place for one test of deployments: a network, an owner with a model, and the same model in this process to compare with.
final class HostedSite<Element: FloatingElement> {
  let directory: TemporaryDirectory
  let network: InProcessNetwork
  let ownerKey: OwnerKey
  /// Listed at the trainer, with a model of its own.
  let otherOwner: OwnerKey
  /// Whom the trainer lists as owners.
  let owners: ServedOwners
  let model: SmallHostedModel<Element>

  init(_ kind: SmallHostedModel<Element>.Kind = .perceptron, question: Int = 16) throws {
    directory = try TemporaryDirectory()
    network = InProcessNetwork()
    ownerKey = try CurveKeyPair.generate().ownerKey
    otherOwner = try CurveKeyPair.generate().ownerKey
    owners = ServedOwners(AuthorizedKeys([ownerKey, otherOwner]))
    model = try SmallHostedModel(kind, question: question)
  }

  func trainer(
    store: String = "store", deploymentMemory: Int = 1 << 30, ownerSilence: Duration = .seconds(8),
    hasEventLog: Bool = false, forgottenCopies: Duration = .seconds(600), deploymentLogLines: Int = 100_000
  ) -> TrainerHost<Element> {
    TrainerHost(
      on: network, store: directory.url(store), ownerSilence: ownerSilence, owners: owners, hasEventLog: hasEventLog,
      deploymentMemory: deploymentMemory, forgottenCopies: forgottenCopies, deploymentLogLines: deploymentLogLines)
  }

  func client() throws -> OwnerKey {
    try CurveKeyPair.generate().ownerKey
  }

  /// Uploads a copy of the model.
  ///
  /// - Returns: its id.
  @discardableResult
  func upload(
    _ model: SmallHostedModel<Element>? = nil, as copy: JobID = .random(), by owner: OwnerKey? = nil
  ) throws -> JobID {
    let connection = RawOwner<Element>(network, owner ?? ownerKey, job: copy)
    defer { connection.channel.close() }
    try (model ?? self.model).upload(connection)
    return copy
  }

  /// Puts a deployment in force.
  func deploy(
    _ id: JobID, revision: Int = 1, _ clients: [DeploymentDescription.Client], maximumRows: Int? = nil,
    by owner: OwnerKey? = nil
  ) throws -> DeploymentStatus {
    let connection = RawOwner<Element>(network, owner ?? ownerKey, job: id)
    defer { connection.channel.close() }
    return try connection.deploy(
      DeploymentDescription(revision: revision, clients: clients, maximumRows: maximumRows))
  }

  func entry(_ key: OwnerKey, _ copy: JobID, keyNumber: Int = 1) -> DeploymentDescription.Client {
    DeploymentDescription.Client(
      key: key.z85, copy: copy, keyNumber: keyNumber, package: Data([UInt8(truncatingIfNeeded: keyNumber), 7]))
  }

  /// A deployment of one copy for new clients.
  func deployed(
    clients count: Int = 1, maximumRows: Int? = nil
  ) throws -> (id: JobID, copy: JobID, clients: [RawClient<Element>]) {
    let copy = try upload()
    let id = JobID.random()
    let keys = try (0..<count).map { _ in try client() }
    _ = try deploy(id, keys.map { entry($0, copy) }, maximumRows: maximumRows)
    return (id, copy, keys.map { RawClient(network, $0, deployment: id) })
  }
}

extension RawOwner {
  func deploy(_ description: DeploymentDescription) throws -> DeploymentStatus {
    try send(.deployment(.deploy(description)))
    return try status()
  }

  /// The next status of a deployment that arrives.
  func status() throws -> DeploymentStatus {
    try wait { message in
      if case .deployment(.deployed(let status)) = message { return status }
      return nil
    }
  }

  func list() throws -> [DeploymentStatus] {
    try send(.deployment(.list))
    return try wait { message in
      if case .deployment(.list(let list)) = message { return list }
      return nil
    }
  }

  func undeploy() throws {
    try send(.deployment(.undeploy))
    try wait { message in
      if case .removed = message { return () }
      return nil
    }
  }
}

/// A client that sends what it likes.
struct RawClient<Element: FloatingElement> {
  let key: OwnerKey
  let connection: RawOwner<Element>
  private let network: InProcessNetwork

  init(_ network: InProcessNetwork, _ key: OwnerKey, deployment: JobID) {
    self.key = key
    self.network = network
    connection = RawOwner(network, key, job: deployment)
  }

  /// The same client on a connection of its own: what it needs after its host was restarted.
  func again() -> RawClient {
    RawClient(network, key, deployment: connection.job)
  }

  func send(_ request: ClientRequest<Element>) throws {
    try connection.send(.question(request))
  }

  func open() throws -> DeploymentTerms {
    try send(.open)
    return try connection.wait { message in
      if case .deployment(.opened(let terms)) = message { return terms }
      return nil
    }
  }

  /// The outputs of question `number`, and the rows that were seen with it.
  func ask(
    _ number: Int, _ rows: RowDelivery<Element>, keyNumber: Int = 1
  ) throws -> (values: Tensor<Element>, rowsSeen: Int) {
    try send(.ask(number: number, keyNumber: keyNumber, rows: rows))
    return try answer(to: number)
  }

  func answer(to number: Int) throws -> (values: Tensor<Element>, rowsSeen: Int) {
    try connection.wait { message in
      if case .deployment(.answered(number, let seen, let values)) = message { return (values, seen) }
      return nil
    }
  }

  func refusal(of request: ClientRequest<Element>) throws -> RawOwner<Element>.Refusal {
    try connection.refusal(of: .question(request))
  }

  /// What comes next: an answer to `extend`, or another.
  func extend(
    _ session: Int, from position: Int, _ tokens: Tensor<Element>, largest: Int = 0, keyNumber: Int = 1
  ) throws -> DeploymentAnswer<Element> {
    try send(
      .extend(session: session, keyNumber: keyNumber, position: position, largest: largest, tokens: tokens))
    return try connection.wait { message in
      if case .deployment(let answer) = message { return answer }
      return nil
    }
  }
}
