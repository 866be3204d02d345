import Files
import Foundation
import Foundations
import Numerics
import Protocol
import Service

/// What owners ask for.
extension Deployments {
  func handle(
    _ request: DeploymentRequest, of id: JobID, from peer: PeerID, in service: TrainingService
  ) throws {
    switch request {
    case .deploy(let description): try deploy(description, as: id, from: peer, in: service)
    case .status:
      let deployment = try owned(id, by: peer.ownerKey)
      service.send(.deployment(.deployed(status(of: deployment, in: service))), job: id, to: peer)
    case .list:
      let own = all.values.filter { $0.owner == peer.ownerKey }.sorted { $0.id.description < $1.id.description }
      service.send(.deployment(.list(own.map { status(of: $0, in: service).withoutClients })), job: id, to: peer)
    case .undeploy:
      takeDown(try owned(id, by: peer.ownerKey), for: peer, in: service, reason: "taken down by its owner") { result in
        try result.get()
        service.tell(.removed, job: id, to: peer)
      }
    }
  }

  /// - Throws: `ServiceError` for one that is not there, or is another owner's: both look the same from outside.
  private func owned(_ id: JobID, by owner: OwnerKey) throws(ServiceError) -> Deployment {
    guard let deployment = all[id], deployment.owner == owner else {
      throw ServiceError.noSuchJob(at: TrainerConfiguration.program)
    }
    return deployment
  }

  // MARK: - Deploying

  private func deploy(
    _ description: DeploymentDescription, as id: JobID, from peer: PeerID, in service: TrainingService
  ) throws {
    let owner = peer.ownerKey
    let known = all[id]
    // One that is in force stays its owner's, whatever job has come under its id.
    guard id != .none, known != nil || service.jobs[id] == nil else {
      throw WireError.invalidJob("a deployment needs an id of its own")
    }
    if let known, known.owner != owner { throw ServiceError.noSuchJob(at: TrainerConfiguration.program) }
    if let problem = known?.problem, !problem.isMendedByOwner { throw problem.refusal }
    let changes = try known.map { known throws(ServiceError) in try isChange(description, of: known) } ?? true
    try checkCopies(description, of: id, owner: owner, in: service)
    for copy in description.copies { worker?.order(.tryAgain(copy)) }
    if let known, !changes {
      known.maker = peer
      service.send(.deployment(.deployed(status(of: known, in: service))), job: id, to: peer)
      return
    }
    try configuration.service.eventLog?.require(
      LoggedEvent(
        known == nil ? .deployed : .changed, owner: owner, job: id,
        reason:
          "revision \(description.revision), \(description.clients.count) clients, \(description.copies.count) copies"))
    let stored = StoredDeployment(id: id, owner: owner, description: description)
    let damagedBook = known.flatMap { $0.isLogDamaged ? $0.book : nil }
    let opensLog = known?.problem != nil || known == nil
    service.onDisk(id, for: peer) { [store] in
      if let damagedBook { try store.replaceDamagedLog(of: id, owner: owner, with: damagedBook) }
      try store.save(stored, owner: owner)
      return opensLog ? try store.openLog(of: id) : nil
    } then: { [unowned self, unowned service] (result: Result<LineLog?, any Error>) in
      let log = try result.get()
      let deployment = known ?? Deployment(id, owner: owner, description)
      if let log { deployment.open(log) }
      deployment.maker = peer
      putInForce(description, deployment, isNew: known == nil, in: service)
      if description.endsWithOwner, !service.isConnected(peer) {
        return takeDown(deployment, for: peer, in: service, reason: "its owner is gone") { _ in }
      }
      service.send(.deployment(.deployed(status(of: deployment, in: service))), job: id, to: peer)
    }
  }

  /// - Returns: false for what is in force already.
  private func isChange(_ description: DeploymentDescription, of known: Deployment) throws(ServiceError) -> Bool {
    // 0 where the description is damaged, so that any is later.
    let present = known.description.revision
    guard description.revision >= present else {
      throw ServiceError.refused(
        "revision \(present) of this deployment is in force, and this is revision \(description.revision), an older one; "
          + "work with the directory that has deployed it last")
    }
    guard description.revision == present else { return true }
    guard description == known.description else {
      throw ServiceError.refused("another revision \(present) of this deployment is in force here")
    }
    return known.problem != nil
  }

  private func checkCopies(
    _ description: DeploymentDescription, of id: JobID, owner: OwnerKey, in service: TrainingService
  ) throws {
    for copy in description.copies {
      guard isCopy(copy, of: owner, in: service), !retired.contains(copy) else {
        throw ServiceError.refused(
          "this trainer has no whole copy \(copy) of a model of this owner; upload it first", cause: .noSuchJob)
      }
      if let other = deployment(using: copy), other.id != id {
        throw ServiceError.refused("the copy \(copy) is in use in another deployment")
      }
    }
  }

  /// From here on questions are answered by it. What was taken up before is answered by the copy that it was asked of.
  private func putInForce(
    _ description: DeploymentDescription, _ deployment: Deployment, isNew: Bool, in service: TrainingService
  ) {
    let before = isNew ? [:] : deployment.clients
    let copiesBefore = isNew ? [] : deployment.description.copies
    deployment.putInForce(description)
    add(deployment, before: copiesBefore)
    for (key, client) in before {
      let asker = Asker(deployment: deployment.id, key: key)
      let now = deployment.clients[key]
      if now?.keyNumber != client.keyNumber || now?.copy != client.copy { worker?.order(.endSessions(of: asker)) }
      if now == nil { withdraw(asker, in: service) }
    }
    service.observe(
      .role(
        .deployed(
          deployment: deployment.id, owner: deployment.owner?.prefix ?? "", revision: description.revision,
          clients: description.clients.count, copies: description.copies.count)))
    retired.formUnion(copiesBefore.subtracting(description.copies))
    dropRetired(in: service)
    admitClients(in: service)
  }

  /// Tells a client that it may not ask any more, while it can be told.
  private func withdraw(_ asker: Asker, in service: TrainingService) {
    drop(open.tickets { $0.asker == asker })
    configuration.service.eventLog?.note(
      LoggedEvent(.clientWithdrawn, owner: asker.key, job: asker.deployment, reason: "by the deployment's owner"))
    guard let peer = connections.remove(asker), service.isConnected(peer) else { return }
    service.tell(
      .refused(kind: .refused, reason: "the owner of this deployment has withdrawn this client"), job: asker.deployment,
      to: peer)
  }

  // MARK: - Taking down

  /// - Parameter finish: takes the end of the work on the disk.
  func takeDown(
    _ deployment: Deployment, for peer: PeerID, in service: TrainingService, reason: String,
    then finish: @escaping (Result<Void, any Error>) throws -> Void
  ) {
    let id = deployment.id
    remove(deployment)
    for key in deployment.clients.keys {
      let asker = Asker(deployment: id, key: key)
      let waiting = open.count(of: asker) > 0
      drop(open.tickets { $0.asker == asker })
      worker?.order(.endSessions(of: asker))
      if let client = connections.remove(asker), waiting, service.isConnected(client) {
        service.tell(.refused(kind: .refused, reason: "this deployment was taken down"), job: id, to: client)
      }
    }
    admitClients(in: service)
    // Its copies go when nothing refers to them any more.
    service.onDisk(id, for: peer) { [store] in
      try store.remove(id)
    } then: { [unowned self, unowned service] result in
      switch result {
      case .success:
        retired.formUnion(deployment.description.copies.filter { isCopy($0, of: deployment.owner, in: service) })
        dropRetired(in: service)
        configuration.service.eventLog?.note(
          LoggedEvent(.undeployed, owner: deployment.owner, job: id, reason: reason))
        service.observe(.jobRemoved(job: id, reason: reason))
      case .failure:
        add(deployment)
        admitClients(in: service)
      }
      try finish(result)
    }
  }
}
