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
  /// By copy, the deployment that is sent to it.
  private var users: [JobID: JobID] = [:]
  /// Bytes in the store, by copy: a whole one does not change.
  private var copyBytes: [JobID: Int] = [:]
  var open = OpenQuestions<Element>()
  var credit: AnswerCredit<Element>
  var connections = ClientConnections()
  /// Copies that nobody is sent to any more and that questions still wait for.
  var retired: Set<JobID> = []
  private(set) var worker: InferenceWorker<Element>?
  /// Since when each copy is without a deployment and its owner away, as far as was seen.
  private var forgotten: [JobID: ContinuousClock.Instant] = [:]
  private var lastFigures: (time: ContinuousClock.Instant, figures: DeploymentFigures)?

  init(_ configuration: TrainerConfiguration) {
    self.configuration = configuration
    store = DeploymentStore(store: configuration.service.store)
    credit = AnswerCredit(
      limit: configuration.deploymentMemory / 4, largestAnswer: configuration.service.limits.tensorBytes)
  }

  // MARK: - Beginning and end

  /// Reads the deployments in the store. They are served once `start` is called.
  ///
  /// - Throws: `FileError` when the folder of deployments cannot be read.
  func begin(in service: TrainingService) throws {
    let compute = configuration.inferenceCompute
    let worker = InferenceWorker<Element>(
      makeModels: {
        [
          limit = configuration.deploymentMemory, messageBytes = configuration.service.limits.tensorBytes,
          kernels = configuration.kernels
        ] in
        LoadedModels(limit: limit, messageBytes: messageBytes, compute: compute, kernels: kernels)
      },
      post: { [outbox = service.outbox] in outbox.post(.roleWork) })
    self.worker = worker
    for loaded in try store.load() { take(loaded, in: service) }
    admitClients(in: service)
  }

  private func take(_ loaded: LoadedDeployment, in service: TrainingService) {
    // Nobody comes back to it: its copies go, too.
    if let description = loaded.description, description.endsWithOwner {
      for copy in description.copies where isCopy(copy, of: loaded.owner, in: service) {
        service.drop(copy, reason: "its owner is gone")
      }
      do { try store.remove(loaded.id) } catch { report("\(error)", of: loaded, in: service) }
      return
    }
    let deployment = Deployment(loaded)
    add(deployment)
    if loaded.problem == nil, let owner = loaded.owner {
      // As short as it can be; what a kill left half-written goes.
      do throws(FileError) {
        try AtomicFile.removeLeftovers(in: store.path(of: loaded.id).path)
        try store.write(loaded.book, owner: owner, of: loaded.id)
        deployment.open(try store.openLog(of: loaded.id))
      } catch {
        // The others are served.
        deployment.fails(with: DeploymentProblem(.inaccessible(error), path: store.logPath(of: loaded.id)))
      }
    }
    if let problem = deployment.problem { report(problem.description, of: loaded, in: service) }
  }

  private func report(_ reason: String, of loaded: LoadedDeployment, in service: TrainingService) {
    service.observe(.refused(owner: loaded.owner?.prefix, job: loaded.id, reason: reason))
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
    guard all.values.allSatisfy({ $0.isDescribed }) else {
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
    users[copy].flatMap { all[$0] }
  }

  /// Call when a deployment is there, or its description is another.
  ///
  /// - Parameter before: copies that it had before.
  func add(_ deployment: Deployment, before: Set<JobID> = []) {
    all[deployment.id] = deployment
    for copy in before { users[copy] = nil }
    for copy in deployment.description.copies { users[copy] = deployment.id }
  }

  func remove(_ deployment: Deployment) {
    all[deployment.id] = nil
    for copy in deployment.description.copies { users[copy] = nil }
  }

  /// Removes copies that are not in force and that no question waits for any more.
  func dropRetired(in service: TrainingService) {
    for copy in retired where !open.isWaiting(for: copy) {
      retired.remove(copy)
      copyBytes[copy] = nil
      worker?.order(.forget(copy))
      service.drop(copy, reason: "no client of its deployment is sent to it any more")
    }
  }

  func status(of deployment: Deployment, in service: TrainingService) -> DeploymentStatus {
    deployment.status(
      storedBytes: deployment.description.copies.reduce(0) { $0 + storedBytes(of: $1, in: service) },
      figures: deployment.figures(inMemory: worker?.inMemory.copies ?? [:]))
  }

  private func storedBytes(of copy: JobID, in service: TrainingService) -> Int {
    if let known = copyBytes[copy] { return known }
    let bytes = service.store.storedBytes(of: copy)
    if isHostedHere(copy, in: service) { copyBytes[copy] = bytes }
    return bytes
  }

  private func isHostedHere(_ copy: JobID, in service: TrainingService) -> Bool {
    service.jobs[copy]?.isHosted == true
  }

  // MARK: - Time and connections

  func tick(in service: TrainingService) {
    let logs = all.values.compactMap { $0.takeUnsynced() }
    if !logs.isEmpty { service.inBackground { for log in logs { try? log.sync() } } }
    shortenLogs(in: service)
    // What waits for a client that reads slowly.
    handOut(in: service)
    worker?.order(.expire)
    dropForgottenCopies(in: service)
    configuration.deploymentMetrics.publish(deployments: all.count, loaded: worker?.inMemory ?? LoadedFigures())
    writeFigures(in: service)
  }

  /// Logs that have come to say much that their books do not need are written anew on the disk's thread, while questions go on.
  private func shortenLogs(in service: TrainingService) {
    for deployment in all.values where !service.isBusy(deployment.id) {
      guard let owner = deployment.owner,
        let book = deployment.beginShorterLog(allowance: configuration.deploymentLogLines)
      else { continue }
      // What its owner asks meanwhile waits.
      let id = deployment.id
      service.onDisk(id, for: PeerID(routingIdentity: [], ownerKey: owner)) { [path = store.logPath(of: id)] in
        try ShorterQuestionLog(book, owner: owner, path: path)
      } then: { [unowned self, unowned service] result in
        guard all[id] === deployment else { return }
        do {
          try deployment.endShorterLog(try? result.get())
          _ = try result.get()
        } catch {
          service.observe(.refused(owner: owner.prefix, job: id, reason: "its log is not written anew: \(error)"))
        }
      }
    }
  }

  /// Every few seconds in which something changed.
  private func writeFigures(in service: TrainingService) {
    let now = ContinuousClock.now
    if let last = lastFigures?.time, last.duration(to: now) < .seconds(5) { return }
    defer { lastFigures?.time = now }
    let inMemory = worker?.inMemory.copies ?? [:]
    var figures = DeploymentFigures()
    for deployment in all.values {
      figures.deployments[deployment.id.description] = deployment.figures(inMemory: inMemory)
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
    for asker in connections.loses(peer) { worker?.order(.endSessions(of: asker)) }
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
    for ticket in tickets {
      _ = open.remove(ticket)
      credit.end(ticket)
    }
  }
}
