import Collectives
import Foundations
import Foundation
import Synchronization
package import Numerics
package import Protocol

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
  /// When the jobs were last counted.
  private var lastCount: ContinuousClock.Instant?
  /// Connections heard of, and how long this had listened when they were.
  private var lastHeard: [PeerID: Duration] = [:]
  private var listening = ListeningTime()
  /// Connections that speak a version of before, and are answered in it.
  private var versions: [PeerID: WireVersion] = [:]
  let diskWorker: DiskWorker
  /// Jobs whose files are worked on.
  var diskWork: [JobID: DiskWork<Element>] = [:]
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
    diskWorker = DiskWorker(beforeEach: configuration.beforeDiskWork)
    outbox = Outbox(wake: { endpoint.wake() })
    let communicator = configuration.communicator
    stop.onRequest {
      // Launchers also ask to stop when a rank has died.
      communicator.checkRanks()
      endpoint.wake()
    }
    communicator.onFailure { _ in endpoint.wake() }
    configuration.owners.onChange { endpoint.wake() }
    let (stored, unreadable) = try store.load()
    for name in unreadable {
      observe(.refused(owner: nil, job: JobID(hex: name) ?? .none, reason: "unreadable job folder \(name) left alone"))
    }
    for job in stored {
      guard let owner = OwnerKey(z85: job.owner) else { continue }
      if job.description.purpose == .inference {
        // Its owner, who made a key for it alone, does not come back to it.
        try store.remove(job.id)
        continue
      }
      let record = JobRecord<Element>(stored: job, peer: PeerID(routingIdentity: [], ownerKey: owner))
      jobs[job.id] = record
      // Those of owners that are not listed wait until they are.
      if record.isRunnable, isServed(record) { queue.append(job.id) }
    }
  }

  /// Serves until `stop` is requested; then saves the running job, tells its owner, and returns. The other ranks stop with it.
  ///
  /// - Throws: `TransportError` when the endpoint fails for good; `CollectiveError`, when all that is done, if a rank is gone.
  package func run() throws {
    // Without an endpoint nobody would ever end the runner.
    defer {
      active?.inbox.stop(.shutdown)
      // Whoever takes the store over next is the only one to write there.
      diskWorker.wait()
    }
    configuration.audit?.note(AuditEvent(.started))
    startNext()
    while !stop.isRequested, configuration.communicator.failure == nil {
      if let incoming = try receive(timeout: .seconds(1)) { handle(incoming) }
      applyOwnerChanges()
      deliverOutbox()
      try dropSilentOwners()
      publishCounts()
    }
    if let active {
      active.inbox.stop(.shutdown)
      let asked = clock.now
      var nextWord = 5
      while self.active === active {
        _ = try endpoint.receive(timeout: .milliseconds(200))
        deliverOutbox(startingNext: false)
        if asked.duration(to: clock.now) >= .seconds(nextWord) {
          observe(.stopAwaited(job: active.job, seconds: nextWord))
          nextWord *= 2
        }
      }
    }
    diskWorker.wait()
    deliverOutbox(startingNext: false)
    let reason: GoodbyeReason = stop.isPreempted ? .preempted : .stopping
    for record in jobs.values where isConnected(record.peer) {
      send(.goodbye(step: record.step, reason: reason), job: record.id, to: record.peer)
    }
    configuration.audit?.note(AuditEvent(.stopped))
    try TrainerWorker<Element>.stopAll(configuration.communicator)
  }

  private func receive(timeout: Duration) throws -> IncomingMessage? {
    listening.begins(at: clock.now)
    defer { listening.ends(at: clock.now, timeout: timeout) }
    return try endpoint.receive(timeout: timeout)
  }

  private func handle(_ incoming: IncomingMessage) {
    let peer = incoming.peer
    lastHeard[peer] = listening.total
    configuration.metrics.countReceived(bytes: Self.bytes(of: incoming.frames))
    note(WireVersion(of: incoming.frames) ?? .current, of: peer)
    var job = JobID.none
    do {
      let (id, message) = try codec.ownerMessage(incoming.frames)
      job = id
      if broken[peer] != nil, !message.isGreeting {
        send(.goodbye(step: 0), job: id, to: peer)
        return
      }
      try admit(message, job: id, from: peer)
    } catch {
      refuse(error, job: job, to: peer)
    }
  }

  private func note(_ version: WireVersion, of peer: PeerID) {
    guard versions[peer] != nil || version != .current else { return }
    // Connections that are gone for good are forgotten.
    if versions.count >= 1024 { versions = versions.filter { isConnected($0.key) } }
    versions[peer] = version == .current ? nil : version
  }

  /// Does what a message asks for if its owner is listed, at once or after the job's disk work.
  func admit(_ message: OwnerMessage<Element>, job id: JobID, from peer: PeerID) throws {
    guard configuration.owners.limits(of: peer.ownerKey) != nil else { throw TrainerError.notListed }
    switch message {
    case .hello, .ping: break
    default: if try postpone(message, job: id, from: peer) { return }
    }
    try handle(message, job: id, from: peer)
  }

  /// Writes down why something was not done, and tells whoever wanted it.
  func refuse(_ error: any Error, job: JobID, to peer: PeerID) {
    guard let failure = error as? any Failure else {
      refused("\(error)", .other, job: job, of: peer)
      return send(.refused(kind: .defect, reason: "the trainer could not do that"), job: job, to: peer)
    }
    refused(failure.description, RefusalCause(failure), job: job, of: peer)
    send(.refused(kind: failure.kind, reason: failure.description), job: job, to: peer)
  }

  private func refused(_ reason: String, _ cause: RefusalCause, job: JobID, of peer: PeerID) {
    configuration.metrics.countRefusal(cause)
    configuration.audit?.note(AuditEvent(.refused, owner: peer.ownerKey, job: job, reason: reason))
    observe(.refused(owner: peer.ownerKey.prefix, job: job, reason: reason))
  }

  /// A peer that is gone, or whose queue is full, loses the message, and with it the job it was attached to: neither side
  /// would go on. It attaches anew when it is back.
  func send(_ message: TrainerMessage<Element>, job: JobID, to peer: PeerID) {
    do {
      let frames = codec.frames(message, job: job, version: versions[peer] ?? .current)
      try endpoint.send(frames, to: peer)
      configuration.metrics.countSent(bytes: Self.bytes(of: frames))
    } catch {
      lastHeard[peer] = nil
      breakOff(peer)
    }
  }

  private static func bytes(of frames: Message) -> Int {
    frames.reduce(0) { $0 + $1.count }
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
      case .diskWorkDone(let id): diskWorkDone(id)
      }
    }
  }

  /// Counts the jobs for whoever watches, and tries again to write what a full disk kept from the audit log, at most twice a second.
  private func publishCounts() {
    let now = clock.now
    if let lastCount, lastCount.duration(to: now) < .milliseconds(500) { return }
    lastCount = now
    configuration.audit?.flush()
    var byState: [JobState: Int] = [:]
    for record in jobs.values { byState[state(of: record), default: 0] += 1 }
    configuration.metrics.publish(queueLength: queue.count, byState: byState)
  }

  private func isSilent(_ peer: PeerID) -> Bool {
    lastHeard[peer].map { listening.total - $0 > configuration.ownerSilence } == true
  }

  /// Takes jobs from owners that are silent for too long. Only time in which this listened counts, and what they may have said
  /// meanwhile is read first.
  private func dropSilentOwners() throws {
    guard lastHeard.keys.contains(where: isSilent) else { return }
    // Bounded: somebody may send faster than this reads. Messages of all are read in turn.
    var unread = 4096
    while unread > 0, let incoming = try receive(timeout: .zero) {
      handle(incoming)
      unread -= 1
    }
    for peer in lastHeard.keys.filter(isSilent) {
      lastHeard[peer] = nil
      let attached = jobs.values.filter { $0.peer == peer && $0.attachedHistory != nil }
      for record in attached { observe(.ownerSilent(owner: peer.ownerKey.prefix, job: record.id)) }
      if !attached.isEmpty { breakOff(peer) }
    }
  }
}

/// How long a service has listened to its socket. Of the time between one look and the next, which it spends on other things, a tenth of
/// a second counts at most: what arrives meanwhile waits unread.
struct ListeningTime {
  private static let maxPause: Duration = .milliseconds(100)

  private(set) var total = Duration.zero
  private var began: ContinuousClock.Instant?
  private var ended: ContinuousClock.Instant?

  mutating func begins(at now: ContinuousClock.Instant) {
    if let ended { total += min(ended.duration(to: now), Self.maxPause) }
    began = now
  }

  /// - Parameter timeout: of this look; a process that was stopped meanwhile has not listened for longer.
  mutating func ends(at now: ContinuousClock.Instant, timeout: Duration) {
    if let began { total += min(began.duration(to: now), timeout + Self.maxPause) }
    ended = now
  }
}

/// Asks a service to stop, from any thread or signal source.
package final class StopSwitch: Sendable {
  private let state = Mutex<(requested: Bool, preempted: Bool, action: (@Sendable () -> Void)?)>((false, false, nil))

  package init() {}

  package var isRequested: Bool { state.withLock(\.requested) }

  /// Whether the trainer is to be started again by itself.
  var isPreempted: Bool { state.withLock(\.preempted) }

  package func request(preempted: Bool = false) {
    let action = state.withLock { state in
      state.preempted = state.preempted || preempted
      state.requested = true
      return state.action
    }
    action?()
  }

  /// - Parameter action: called at every request.
  package func onRequest(_ action: @escaping @Sendable () -> Void) {
    state.withLock { $0.action = action }
  }
}
