import Files
import Foundation
package import Foundations
import JobSpec
package import Masking
package import Models
package import Numerics
package import Protocol

/// An owner's conversation with a host about one deployment: uploads masked copies and puts revisions in force.
package struct HostedDeployment<Element: FloatingElement> {
  /// What happens, for progress.
  package enum Event: Sendable {
    case uploading(keyNumber: Int, chunk: Int, of: Int)
    case inForce(DeploymentStatus)
  }

  private let channel: any OwnerChannel
  private let options: RunOptions
  private let deployment: JobID

  package init(channel: any OwnerChannel, deployment: JobID, options: RunOptions) {
    self.channel = channel
    self.deployment = deployment
    self.options = options
  }

  /// A conversation about the deployment, or about a copy of it.
  package func connection(about job: JobID? = nil) -> TrainerConnection<Element> {
    TrainerConnection(
      channel: channel, job: job ?? deployment, software: options.software, peer: options.peer,
      silence: options.silence, isJobKept: false)
  }

  /// Uploads copies that the host lacks, and puts a revision in force.
  ///
  /// - Parameters:
  ///   - copies: those that may be missing, and the number of the key that each is masked under.
  ///   - key: a key of the deployment by its number.
  ///   - model: read where there are copies.
  /// - Returns: what the host says.
  /// - Throws: `OwnerError.refused`; `.trainerGone`; `.unfitData` for weights that are not finite.
  @discardableResult
  package func bringIntoForce(
    _ description: DeploymentDescription, copies: [DeploymentRecord.Copy], key: (Int) throws -> MasterKey,
    model: () throws -> DeployableModel, observe: (Event) -> Void = { _ in }
  ) throws -> DeploymentStatus {
    for copy in copies {
      let model = try model()
      let connection = connection(about: copy.job)
      try connection.greet(patience: options.patience)
      try upload(model, under: try key(copy.keyNumber), over: connection) { chunk, count in
        observe(.uploading(keyNumber: copy.keyNumber, chunk: chunk, of: count))
      }
    }
    try connection().greet(patience: options.patience)
    let status = try request(.deploy(description))
    guard status.revision == description.revision else {
      throw OwnerError.protocolViolation("revision \(status.revision) is in force where \(description.revision) is due")
    }
    observe(.inForce(status))
    return status
  }

  private func upload(
    _ model: DeployableModel, under master: MasterKey, over connection: TrainerConnection<Element>,
    progress: (Int, Int) -> Void
  ) throws {
    let keys = JobKeys<Element>(master: master, plan: model.keyPlan, compute: options.compute)
    let specifications = model.structure.parameters
    let job = JobSubmission(connection: connection, description: model.hosting, specifications: specifications)
    _ = try job.send(
      weights: { try keys.maskParameter(try model.weight(specifications[$0]), specifications[$0]) }, progress: progress)
  }

  /// What the host says of the deployment that is in force.
  package func status() throws -> DeploymentStatus {
    try connection().greet(patience: options.patience)
    return try request(.status)
  }

  /// Whether the host has the deployment.
  package func isThere() throws -> Bool {
    do {
      _ = try status()
      return true
    } catch OwnerError.refused(.refused, _) {
      return false
    }
  }

  /// All deployments of this owner at the host.
  package func list() throws -> [DeploymentStatus] {
    let connection = connection(about: JobID.none)
    try connection.greet(patience: options.patience)
    try connection.send(.deployment(.list))
    return try connection.waitFor { message in
      if case .deployment(.list(let list)) = message { return list }
      return nil
    }
  }

  /// Takes the deployment down with its copies.
  ///
  /// - Throws: `OwnerError.refused` for one that is not there.
  package func undeploy() throws {
    let connection = connection()
    try connection.greet(patience: options.patience)
    try connection.send(.deployment(.undeploy))
    try connection.waitFor { message in
      if case .removed = message { return true }
      return nil as Bool?
    }
  }

  /// Removes a copy that no deployment uses.
  ///
  /// - Returns: whether it was there.
  package func remove(_ copy: JobID) throws -> Bool {
    let connection = connection(about: copy)
    try connection.greet(patience: options.patience)
    do { _ = try connection.status() } catch OwnerError.refused { return false }
    try connection.send(.cancel)
    return try connection.waitFor { message in
      if case .removed = message { return true }
      return nil
    }
  }

  private func request(_ request: DeploymentRequest) throws -> DeploymentStatus {
    let connection = connection()
    try connection.send(.deployment(request))
    return try connection.waitFor { message in
      if case .deployment(.deployed(let status)) = message { return status }
      return nil
    }
  }
}

/// Says whether plaintext weights are those that were uploaded before: of their names and bytes, in the model's order.
package struct WeightsHash {
  private var hash = ContentHash()

  package init() {}

  package mutating func update<Element: FloatingElement>(
    _ specification: ParameterSpecification, _ tensor: Tensor<Element>
  ) {
    hash.update("\(specification.name)\n")
    tensor.withUnsafeBufferPointer { hash.update(UnsafeRawBufferPointer($0)) }
  }

  /// 16 hexadecimal digits.
  package var value: String { hash.value().hexadecimal }
}

extension OwnerError {
  /// The model that a deployment was made of is not the one that the host has copies of.
  package static var otherWeights: OwnerError {
    .unfitData(
      "the model holds other weights than when the deployment was made; put the old ones back, or make a new deployment"
    )
  }
}

extension DeployableModel {
  /// The job that a copy of it is.
  var hosting: JobDescription {
    JobDescription(
      purpose: .hosting, graph: graph, optimizer: .none, schedule: job.schedule, lossLocation: .owner, task: nil,
      epochs: 1, stepsPerEpoch: 1, batch: rowsPerQuestion, microBatch: rowsPerQuestion, keep: .last,
      checkpointEverySteps: 1, trainingRows: 0, validationRows: 0, precision: job.train.precision)
  }
}
