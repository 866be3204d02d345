import Foundations
import Numerics
import Protocol
import Service

/// Deployments and their clients, beside the jobs of the table.
extension TrainingHandler {
  static func subject(of request: OwnerMessage<Element>) -> RequestSubject {
    switch request {
    case .deployment: .owners
    case .question: .guests
    default: .job
    }
  }

  func isGuest(_ key: OwnerKey) -> Bool {
    deployments.isClient(key)
  }

  func handle(
    _ request: OwnerMessage<Element>, beside id: JobID, from peer: PeerID, in service: TrainingService
  ) throws {
    switch request {
    case .deployment(let request): try deployments.handle(request, of: id, from: peer, in: service)
    case .question(let request): try deployments.handle(request, of: id, from: peer, in: service)
    default: throw ServiceError.noSuchJob(at: Self.program)
    }
  }

  func isTaken(_ id: JobID) -> Bool { deployments.all[id] != nil }

  /// Of the thread that answers questions.
  var threadSeconds: Double { deployments.worker?.threadSeconds ?? 0 }

  func takeWork(in service: TrainingService) {
    deployments.takeWork(in: service)
  }

  func ownersChanged(in service: TrainingService) {
    deployments.admitClients(in: service)
  }

  var guests: [(job: JobID, peer: PeerID)] {
    deployments.connections.all
  }

  func tick(in service: TrainingService) {
    deployments.tick(in: service)
  }

  func lost(_ peer: PeerID, after silence: Duration, in service: TrainingService) -> Bool {
    deployments.lost(peer, in: service)
  }

  /// A copy goes when its deployment does.
  func checkRemoval(of job: JobRecord<TrainingHandler>, by key: OwnerKey) throws {
    if let deployment = deployments.deployment(using: job.id) {
      throw ServiceError.refused(
        "this copy of a model is in use in deployment \(deployment.id); take that down, or deploy it without this copy")
    }
  }
}
