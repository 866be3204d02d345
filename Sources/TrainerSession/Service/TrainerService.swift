import Collectives
import Failures
import Foundation
import Synchronization
package import Tensors
package import Transport
import Wire

/// The provider's side: takes messages from owners, keeps their jobs, and runs one job at a time, first come first served.
///
/// `run()` owns the endpoint and all job records on the thread that calls it; each job computes on a thread of its own.
package final class TrainerService<Element: FloatingElement> {
  let endpoint: any TrainerEndpoint
  let configuration: TrainerConfiguration
  let store: JobStore
  let outbox: Outbox<Element>
  let codec = MessageCodec<Element>()
  let observe: @Sendable (TrainerEvent) -> Void
  let clock = ContinuousClock()
  /// Set by `StopSwitch` from any thread.
  private let stop: StopSwitch

  var jobs: [JobID: JobRecord<Element>] = [:]
  /// Jobs ready to run, in order of arrival; the running one is not in it.
  var queue: [JobID] = []
  var active: JobRunner<Element>?
  private var lastHeard: [PeerID: ContinuousClock.Instant] = [:]
  /// Connections on which a message to an owner was lost, or a job was taken from a silent one: the owner may believe that
  /// its conversation goes on. It is told `goodbye` until it greets again.
  var broken: [PeerID: ContinuousClock.Instant] = [:]

  /// Opens the store and takes up the jobs in it.
  ///
  /// - Parameter observe: told of everything worth a log line; called from several threads.
  /// - Throws: `Failure` when the store cannot be created or read.
  package init(
    endpoint: any TrainerEndpoint, configuration: TrainerConfiguration, stop: StopSwitch,
    observe: @escaping @Sendable (TrainerEvent) -> Void
  ) throws {
    self.endpoint = endpoint
    self.configuration = configuration
    self.stop = stop
    self.observe = observe
    store = try JobStore(store: configuration.store)
    outbox = Outbox(wake: { endpoint.wake() })
    let communicator = configuration.communicator
    stop.onRequest {
      // Launchers also ask to stop when a rank has died.
      communicator.checkRanks()
      endpoint.wake()
    }
    communicator.onFailure { _ in endpoint.wake() }
    let (stored, unreadable) = try store.load()
    for name in unreadable { observe(.refused(owner: nil, reason: "unreadable job folder \(name) left alone")) }
    for job in stored {
      guard let owner = OwnerKey(z85: job.owner) else { continue }
      if job.description.purpose == .inference {
        // Its owner, who made a key for it alone, does not come back to it.
        try store.remove(job.id)
        continue
      }
      jobs[job.id] = JobRecord(stored: job, peer: PeerID(routingIdentity: [], ownerKey: owner))
      if jobs[job.id]?.isRunnable == true { queue.append(job.id) }
    }
  }

  /// Serves until `stop` is requested; then saves the running job, tells its owner, and returns. The other ranks stop with it.
  ///
  /// - Throws: `TransportError` when the endpoint fails for good; `CollectiveError`, when all that is done, if a rank is gone.
  package func run() throws {
    // Without an endpoint nobody would ever end the runner.
    defer { active?.inbox.stop(.shutdown) }
    startNext()
    while !stop.isRequested, configuration.communicator.failure == nil {
      if let incoming = try endpoint.receive(timeout: .seconds(1)) { handle(incoming) }
      deliverOutbox()
      dropSilentOwners()
    }
    if let active {
      active.inbox.stop(.shutdown)
      while self.active === active {
        _ = try endpoint.receive(timeout: .milliseconds(200))
        deliverOutbox(startingNext: false)
      }
    }
    for record in jobs.values where isConnected(record.peer) {
      send(.goodbye(step: record.step), job: record.id, to: record.peer)
    }
    try stopRanks()
  }

  private func stopRanks() throws {
    let communicator = configuration.communicator
    if let failure = communicator.failure { throw failure }
    guard communicator.size > 1, let stop = ReplicaCommand<Element>.stop.packet?.encoded() else { return }
    for rank in 1..<communicator.size { try communicator.send(stop, to: rank) }
  }

  private func handle(_ incoming: IncomingMessage) {
    let peer = incoming.peer
    lastHeard[peer] = clock.now
    var job = JobID.none
    do {
      let (id, message) = try codec.ownerMessage(incoming.frames)
      job = id
      if broken[peer] != nil, !message.isGreeting {
        send(.goodbye(step: 0), job: id, to: peer)
        return
      }
      try handle(message, job: id, from: peer)
    } catch let failure as any Failure {
      observe(.refused(owner: peer.ownerKey.prefix, reason: failure.description))
      send(.refused(kind: failure.kind, reason: failure.description), job: job, to: peer)
    } catch {
      observe(.refused(owner: peer.ownerKey.prefix, reason: "\(error)"))
      send(.refused(kind: .defect, reason: "the trainer could not do that"), job: job, to: peer)
    }
  }

  /// A peer that is gone, or whose queue is full, loses the message, and with it the job it was attached to: neither side
  /// would go on. It attaches anew when it is back.
  func send(_ message: TrainerMessage<Element>, job: JobID, to peer: PeerID) {
    do {
      try endpoint.send(codec.frames(message, job: job), to: peer)
    } catch {
      lastHeard[peer] = nil
      breakOff(peer)
    }
  }

  private func breakOff(_ peer: PeerID) {
    // Connections that are gone for good never greet again; the oldest are forgotten.
    if broken.count >= 1024, let oldest = broken.min(by: { $0.value < $1.value })?.key { broken[oldest] = nil }
    broken[peer] = clock.now
    for (id, record) in jobs where record.peer == peer { detach(id, reason: .ownerLost) }
  }

  func isConnected(_ peer: PeerID) -> Bool {
    lastHeard[peer] != nil
  }

  private func deliverOutbox(startingNext: Bool = true) {
    for item in outbox.takeAll() {
      switch item {
      case .event(let event): observe(event)
      case .send(let id, let message):
        guard let record = jobs[id] else { continue }
        if let active, active.job == id, active.inbox.isAbandoned { continue }
        if case .stepApplied(let step, _, _) = message { jobs[id]?.step = step + 1 }
        if case .progress(_, let records) = message {
          for case .step(let step, _, _, _, _) in records { jobs[id]?.step = step + 1 }
          guard record.follows else { continue }
        }
        send(message, job: id, to: record.peer)
      case .ended(let id, let outcome):
        active = nil
        ended(id, outcome)
        if startingNext { startNext() }
      }
    }
  }

  private func dropSilentOwners() {
    let now = clock.now
    for (peer, heard) in lastHeard where heard.duration(to: now) > configuration.ownerSilence {
      lastHeard[peer] = nil
      let attached = jobs.values.filter { $0.peer == peer && $0.attachedHistory != nil }
      for record in attached { observe(.ownerSilent(owner: peer.ownerKey.prefix, job: record.id)) }
      if !attached.isEmpty { breakOff(peer) }
    }
  }
}
