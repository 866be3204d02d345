import Files
import Foundation
import Foundations
import Numerics
import Protocol
import Service

/// What owners have this trainer host. On the service thread, but for the worker that computes.
final class Deployments<Element: FloatingElement> {
  typealias TrainingService = JobService<TrainingHandler<Element>>

  /// Questions of one client that may be unanswered.
  static var window: Int { 8 }

  let configuration: TrainerConfiguration
  let store: DeploymentStore
  var all: [JobID: Deployment] = [:]
  /// Who may ask, and what.
  private var keys: Set<OwnerKey> = []
  var open = OpenQuestions<Element>()
  /// The connection on which each was last heard of, of those that have asked.
  var connections: [Asker: PeerID] = [:]
  /// Copies that nobody is sent to any more and that questions still wait for.
  var retired: Set<JobID> = []
  private(set) var worker: InferenceWorker<Element>?
  /// Since when each copy is without a deployment and its owner away, as far as was seen.
  private var forgotten: [JobID: ContinuousClock.Instant] = [:]
  private var lastFigures: (time: ContinuousClock.Instant, figures: DeploymentFigures)?

  init(_ configuration: TrainerConfiguration) {
    self.configuration = configuration
    store = DeploymentStore(store: configuration.service.store)
  }

  // MARK: - Beginning and end

  /// Reads the deployments in the store. They are served once `start` is called.
  ///
  /// - Throws: `FileError` when the folder of deployments cannot be read.
  func begin(in service: TrainingService) throws {
    let compute = configuration.inferenceCompute
    let worker = InferenceWorker<Element>(
      makeModels: { [limit = configuration.deploymentMemory] in LoadedModels(limit: limit, compute: compute) },
      post: { [outbox = service.outbox] in outbox.post(.roleWork) })
    self.worker = worker
    for loaded in try store.load() { try take(loaded, in: service) }
    admitClients(in: service)
  }

  private func take(_ loaded: LoadedDeployment, in service: TrainingService) throws {
    // Nobody comes back to it: its copies go, too.
    if let description = loaded.description, description.endsWithOwner {
      for copy in description.copies where isCopy(copy, of: loaded.owner, in: service) {
        service.drop(copy, reason: "its owner is gone")
      }
      return try store.remove(loaded.id)
    }
    let deployment = Deployment(loaded)
    all[loaded.id] = deployment
    guard loaded.damagedFile == nil, let owner = loaded.owner else {
      service.observe(
        .refused(
          owner: loaded.owner?.prefix, job: loaded.id,
          reason:
            "\(loaded.damagedFile ?? "its files") cannot be read: the deployment answers no questions until it is deployed again"
        ))
      return
    }
    // As short as it can be; what a kill left half-written goes.
    try AtomicFile.removeLeftovers(in: store.path(of: loaded.id).path)
    try store.write(loaded.book, owner: owner, of: loaded.id)
    deployment.open(try store.openLog(of: loaded.id))
  }

  /// Call once, and `end` at last.
  func start() {
    worker?.start()
  }

  /// Ends the worker and syncs what was counted. Nothing is served after it.
  func end() {
    worker?.stop()
    worker = nil
    for deployment in all.values { try? deployment.takeUnsynced()?.sync() }
  }

  // MARK: - Who is let in

  func isClient(_ key: OwnerKey) -> Bool {
    keys.contains(key)
  }

  /// The clients of owners that are served.
  func admitClients(in service: TrainingService) {
    keys = all.values.reduce(into: []) { keys, deployment in
      if isServed(deployment, in: service) { keys.formUnion(deployment.admitted) }
    }
    service.admitGuests(keys)
  }

  /// Those of an owner that is not listed wait until it is. One whose owner is not known can only say that it is damaged.
  func isServed(_ deployment: Deployment, in service: TrainingService) -> Bool {
    deployment.owner.map { service.isServed($0) } ?? true
  }

  // MARK: - Copies

  /// Whether a job holds a whole copy of this owner's.
  func isCopy(_ id: JobID, of owner: OwnerKey?, in service: TrainingService) -> Bool {
    guard let record = service.jobs[id] else { return false }
    return record.owner == owner && record.isHosted
  }

  /// Copies of which no deployment knows, some minutes after their owner has gone: it has given up before it deployed them, or a kill came
  /// between a change of their deployment and their removal. None while a description cannot be read, which may be that of theirs.
  private func dropForgottenCopies(in service: TrainingService) {
    guard all.values.allSatisfy({ $0.damagedFile == nil }) else {
      forgotten = [:]
      return
    }
    let known = all.values.reduce(into: retired) { $0.formUnion($1.description.copies) }
    let now = ContinuousClock.now
    forgotten = service.jobs.values.reduce(into: [:]) { found, record in
      guard record.stored.description.isKept, !known.contains(record.id), !service.isConnected(record.peer) else {
        return
      }
      found[record.id] = forgotten[record.id] ?? now
    }
    for (copy, since) in forgotten where since.duration(to: now) > configuration.forgottenCopies {
      service.drop(copy, reason: "no deployment knows of this copy, and its owner is gone")
    }
  }

  func deployment(using copy: JobID) -> Deployment? {
    all.values.first { $0.description.copies.contains(copy) }
  }

  /// Removes copies that are not in force and that no question waits for any more.
  func dropRetired(in service: TrainingService) {
    for copy in retired where !open.isWaiting(for: copy) {
      retired.remove(copy)
      worker?.order(.forget(copy))
      service.drop(copy, reason: "no client of its deployment is sent to it any more")
    }
  }

  func status(of deployment: Deployment, in service: TrainingService) -> DeploymentStatus {
    let inMemory = worker?.inMemory.copies ?? [:]
    let copies = deployment.description.copies
    return deployment.status(
      storedBytes: copies.reduce(0) { $0 + service.store.storedBytes(of: $1) },
      memoryBytes: copies.reduce(0) { $0 + (inMemory[$1] ?? 0) })
  }

  // MARK: - Time and connections

  func tick(in service: TrainingService) {
    let logs = all.values.compactMap { $0.takeUnsynced() }
    if !logs.isEmpty { service.inBackground { for log in logs { try? log.sync() } } }
    worker?.order(.expire)
    dropForgottenCopies(in: service)
    configuration.deploymentMetrics.publish(deployments: all.count, loaded: worker?.inMemory ?? LoadedFigures())
    writeFigures(in: service)
  }

  /// Every few seconds in which something changed.
  private func writeFigures(in service: TrainingService) {
    let now = ContinuousClock.now
    if let last = lastFigures?.time, last.duration(to: now) < .seconds(5) { return }
    let inMemory = worker?.inMemory.copies ?? [:]
    var figures = DeploymentFigures()
    for deployment in all.values {
      figures.deployments[deployment.id.description] = DeploymentFigures.Deployment(
        memoryBytes: deployment.description.copies.reduce(0) { $0 + (inMemory[$1] ?? 0) },
        medianMilliseconds: deployment.latencies.quantile(0.5), slowMilliseconds: deployment.latencies.quantile(0.95))
    }
    guard figures != lastFigures?.figures ?? DeploymentFigures() else { return }
    lastFigures = (now, figures)
    service.inBackground { [store, figures] in try? store.write(figures) }
  }

  /// A connection is gone: what it asked is not computed, and the sessions of its client end.
  ///
  /// - Returns: whether it waited for answers.
  func lost(_ peer: PeerID, in service: TrainingService) -> Bool {
    let tickets = open.tickets { $0.peer == peer }
    drop(tickets)
    for (asker, last) in connections where last == peer {
      connections[asker] = nil
      worker?.order(.endSessions(of: asker))
    }
    for deployment in all.values where deployment.maker == peer {
      deployment.maker = nil
      if deployment.description.endsWithOwner {
        takeDown(deployment, for: peer, in: service, reason: "its owner is gone") { _ in }
      }
    }
    dropRetired(in: service)
    return !tickets.isEmpty
  }

  func drop(_ tickets: [Int]) {
    worker?.cancel(Set(tickets))
    for ticket in tickets { _ = open.remove(ticket) }
  }
}
