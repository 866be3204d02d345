package import Foundation
package import Foundations
import Numerics
package import Protocol

/// A server's loop: takes messages from owners, keeps their jobs, and runs some of them at a time, owner by owner. What the jobs are, its
/// handler knows.
///
/// `run()` owns the endpoint and all job records on the thread that calls it; each job's runner has a thread of its own.
package final class JobService<Handler: JobHandler> {
  package let handler: Handler
  package let configuration: ServiceConfiguration
  package let store: JobStore<Handler.Content>
  package let outbox: Outbox<Handler.Answer, Handler.RoleEvent>
  package let observe: @Sendable (ServiceEvent<Handler.RoleEvent>) -> Void
  let endpoint: any ServerEndpoint
  let clock = ContinuousClock()
  /// Set from any thread.
  private let stop: StopSwitch

  package var jobs: [JobID: JobRecord<Handler>] = [:]
  /// Jobs ready to run, in order of arrival; `line()` is the order in which they run.
  var queue: [JobID] = []
  /// Jobs at work, `ServiceConfiguration.jobsAtOnce` at most.
  var active: [JobID: RunningJob<Handler.Runner>] = [:]
  /// The job in line that gets the places, or the memory, of jobs whose turn was ended for it.
  var promised: JobID?
  /// No job is started any more.
  var isEnding = false
  /// CPU seconds since this service began, by owner, and this process's when they were last shared out.
  var processorSeconds: [OwnerKey: Double] = [:]
  var processorTimeShared = ProcessorTime.ofThisProcess
  var connections = Connections()
  /// Nobody who is let in decides how fast the log grows, as in the event log.
  var lineThrottle = EventLogThrottle()
  let diskWorker: DiskWorker
  /// Jobs whose files are worked on.
  var diskWork: [JobID: DiskWork<Handler.Request>] = [:]
  /// Of the role's own threads, when processor time was last shared out.
  var handlerThreadSeconds = 0.0
  /// When the jobs were last counted, and when the handler was last told that time passes.
  private var lastCount: ContinuousClock.Instant?
  private var lastTick: ContinuousClock.Instant?
  var lastTurnCheck: ContinuousClock.Instant?

  /// Opens the store and resumes the jobs in it.
  ///
  /// - Parameter observe: told of everything worth a log line; called from several threads.
  /// - Throws: `Failure` when the store cannot be created or read.
  package init(
    _ handler: Handler, endpoint: any ServerEndpoint, configuration: ServiceConfiguration, stop: StopSwitch,
    observe: @escaping @Sendable (ServiceEvent<Handler.RoleEvent>) -> Void
  ) throws {
    self.handler = handler
    self.endpoint = endpoint
    self.configuration = configuration
    self.stop = stop
    self.observe = observe
    store = try JobStore(store: configuration.store)
    diskWorker = DiskWorker(beforeEach: configuration.beforeDiskWork)
    outbox = Outbox(merge: { Handler.merge($0, into: &$1) }, wake: { endpoint.wake() })
    stop.onRequest { endpoint.wake() }
    configuration.owners.onChange { endpoint.wake() }
    let (stored, unreadable) = try store.load()
    for name in unreadable {
      observe(.refused(owner: nil, job: JobID(hex: name) ?? .none, reason: "unreadable job folder \(name) left alone"))
    }
    for job in stored {
      guard let owner = OwnerKey(z85: job.owner) else { continue }
      if job.description.endsWithOwner {
        // Nobody comes back to it.
        try store.remove(job.id, of: Handler.program)
        continue
      }
      let record = JobRecord<Handler>(
        stored: job, peer: PeerID(routingIdentity: [], ownerKey: owner), state: handler.state(of: job))
      jobs[job.id] = record
      // Those of owners that are not listed wait until they are.
      if record.isRunnable, isServed(record) { lineUp(job.id) }
    }
  }

  /// Serves until a stop is requested; then saves the running jobs, tells their owners, and returns.
  ///
  /// - Throws: `TransportError` when the endpoint fails for good; the handler's `failure`.
  package func run() throws {
    // Without an endpoint nobody would ever end the runner.
    defer {
      for job in active.values { job.runner.stop(.shutdown) }
      // Whoever takes the store over next is the only one to write there.
      diskWorker.wait()
    }
    configuration.eventLog?.note(LoggedEvent(.started))
    startNext()
    let timeout = min(.seconds(1), configuration.tickInterval, configuration.turn)
    while !stop.isRequested, handler.canRunJobs, handler.failure == nil {
      if let incoming = try receive(timeout: timeout) { handle(incoming) }
      applyOwnerChanges()
      deliverOutbox()
      try dropSilentOwners()
      checkTurns()
      publishCounts()
      tick()
    }
    try endActive()
    diskWorker.wait()
    deliverOutbox()
    let reason: GoodbyeReason = stop.isPreempted ? .preempted : .stopping
    for record in jobs.values {
      for peer in Set(handler.listeners(of: record) + [record.peer]) where connections.isConnected(peer) {
        tell(.goodbye(step: record.step, reason: reason), job: record.id, to: peer)
      }
    }
    for (job, peer) in handler.guests where connections.isConnected(peer) {
      tell(.goodbye(step: 0, reason: reason), job: job, to: peer)
    }
    configuration.eventLog?.note(LoggedEvent(.stopped))
    if let failure = handler.failure { throw failure }
  }

  /// Has the runners stop, and waits until they have.
  private func endActive() throws {
    isEnding = true
    for job in active.values { job.runner.stop(.shutdown) }
    let asked = clock.now
    var nextWord = 5
    while !active.isEmpty {
      _ = try endpoint.receive(timeout: .milliseconds(200))
      deliverOutbox()
      if asked.duration(to: clock.now) >= .seconds(nextWord) {
        for id in active.keys { observe(.stopAwaited(job: id, seconds: nextWord)) }
        nextWord *= 2
      }
    }
  }

  private func receive(timeout: Duration) throws -> IncomingMessage? {
    connections.listening.start(at: clock.now)
    defer { connections.listening.stop(at: clock.now, timeout: timeout) }
    return try endpoint.receive(timeout: timeout)
  }

  private func handle(_ incoming: IncomingMessage) {
    let peer = incoming.peer
    connections.hears(peer)
    configuration.metrics.countReceived(bytes: Self.bytes(of: incoming.frames))
    var job = JobID.none
    do {
      var envelope = try OpenedEnvelope(incoming.frames, limits: configuration.limits)
      connections.hears(peer, inVersion: envelope.version)
      let request = try ServiceRequest<Handler.Request>(from: &envelope)
      job = envelope.job
      if connections.isBroken(peer), !request.isGreeting {
        tell(.goodbye(step: 0), job: job, to: peer)
        return
      }
      try admit(request, job: job, from: peer)
    } catch {
      refuse(error, job: job, to: peer)
    }
  }

  private func deliverOutbox() {
    for item in outbox.takeAll() {
      switch item {
      case .event(let event): observe(event)
      case .send(let id, let answer):
        guard let record = jobs[id] else { continue }
        if active[id]?.runner.stopRequested?.abandonsOwner == true { continue }
        if let steps = Handler.stepsDone(in: answer) { jobs[id]?.step = steps }
        if record.follows || !Handler.isForFollowers(answer) { send(answer, job: id, to: record.peer) }
      case .answer(let answer, let id, let peer):
        if connections.isConnected(peer) { send(answer, job: id, to: peer) }
      case .ended(let id, let outcome): ended(id, outcome)
      case .diskWorkDone(let id): diskWorkDone(id)
      case .roleWork: handler.takeWork(in: self)
      }
    }
  }

  /// Counts the jobs for whoever watches, and tries again to write what a full disk kept from the event log, at most twice a second.
  private func publishCounts() {
    let now = clock.now
    if let lastCount, lastCount.duration(to: now) < .milliseconds(500) { return }
    lastCount = now
    configuration.eventLog?.flush()
    shareProcessorTime()
    var counts = JobCounts(queueLength: queue.count, memoryInUse: memoryInUse)
    for record in jobs.values { counts.add(state(of: record), of: record.owner) }
    counts.processorSeconds = Dictionary(
      processorSeconds.map { ($0.key.prefix, $0.value) }, uniquingKeysWith: +)
    configuration.metrics.publish(counts)
  }

  private func tick() {
    let now = clock.now
    if let lastTick, lastTick.duration(to: now) < configuration.tickInterval { return }
    lastTick = now
    handler.tick(in: self)
  }

  /// Takes jobs from owners that are silent for too long. Only time in which this listened counts, and what they may have said
  /// meanwhile is read first.
  private func dropSilentOwners() throws {
    let limit = handler.ownerSilence ?? configuration.ownerSilence
    guard connections.areAnySilent(for: limit) else { return }
    // Bounded: somebody may send faster than this reads. Messages of all are read in turn.
    var unread = 4096
    while unread > 0, let incoming = try receive(timeout: .zero) {
      handle(incoming)
      unread -= 1
    }
    for peer in connections.silent(for: limit) {
      let silence = connections.silence(of: peer) ?? limit
      connections.loses(peer)
      let attached = jobs.values.filter { $0.peer == peer && $0.isAttached }
      for record in attached { observe(.ownerSilent(owner: peer.ownerKey.prefix, job: record.id)) }
      let wasListening = handler.lost(peer, after: silence, in: self)
      if !attached.isEmpty || wasListening { breakOff(peer) }
    }
  }
}

// MARK: - Sending

extension JobService {
  /// A peer that is gone, or whose queue is full, loses the message, and with it the job it was attached to: neither side
  /// would go on. It attaches anew when it is back.
  ///
  /// - Parameter narrowingValues: whether values travel as bfloat16 numbers; nil for what the job of that id says.
  package func send(_ answer: Handler.Answer, job: JobID, to peer: PeerID, narrowingValues: Bool? = nil) {
    send(
      answer.envelope(for: job), to: peer,
      narrowingValues: narrowingValues ?? jobs[job]?.stored.description.narrowsValues ?? false)
  }

  /// The same for what every server says.
  package func tell(_ answer: ConversationAnswer, job: JobID, to peer: PeerID) {
    send(answer.envelope(for: job), to: peer)
  }

  private func send(_ envelope: Envelope, to peer: PeerID, narrowingValues: Bool = false) {
    do {
      let frames = envelope.frames(version: connections.version(of: peer), narrowingValues: narrowingValues)
      try endpoint.send(frames, to: peer)
      configuration.metrics.countSent(bytes: Self.bytes(of: frames))
    } catch {
      let silence = connections.silence(of: peer) ?? .zero
      connections.loses(peer)
      breakOff(peer)
      _ = handler.lost(peer, after: silence, in: self)
    }
  }

  /// For how long a connection has not been heard of, of the time in which this listened; nil for one that is gone.
  package func silence(of peer: PeerID) -> Duration? {
    connections.silence(of: peer)
  }

  /// For how long this has listened in all: the time that `silence` is counted in.
  package var listened: Duration { connections.listening.total }

  /// Bytes that were sent to a connection and that its machine has not taken, about.
  package func unreadBytes(of peer: PeerID) -> Int {
    endpoint.unreadBytes(of: peer) ?? 0
  }

  /// Whether a connection has been heard of lately.
  package func isConnected(_ peer: PeerID) -> Bool {
    connections.isConnected(peer)
  }

  private static func bytes(of frames: Message) -> Int {
    frames.reduce(0) { $0 + $1.count }
  }

  private func breakOff(_ peer: PeerID) {
    connections.breaks(peer, at: clock.now)
    detach(jobs.filter { $0.value.peer == peer }.map(\.key), reason: .ownerLost)
  }

  /// Writes down why something was not done, and tells whoever wanted it.
  package func refuse(_ error: any Error, job: JobID, to peer: PeerID) {
    guard let failure = error as? any Failure else {
      refused("\(error)", .other, job: job, of: peer)
      return tell(
        .refused(kind: .defect, reason: "an error inside the \(Handler.program); its log tells more"), job: job,
        to: peer)
    }
    refused(failure.description, RefusalCause(failure), job: job, of: peer)
    tell(.refused(kind: failure.kind, reason: failure.descriptionForOthers), job: job, to: peer)
  }

  private func refused(_ reason: String, _ cause: RefusalCause, job: JobID, of peer: PeerID) {
    configuration.metrics.countRefusal(cause)
    let event = LoggedEvent(.refused, owner: peer.ownerKey, job: job, reason: reason)
    configuration.eventLog?.note(event)
    guard let line = lineThrottle.admit(event, at: clock.now) else { return }
    let others = line.suppressed > 0 ? " (before this one, \(line.suppressed) refusals were only counted)" : ""
    observe(.refused(owner: peer.ownerKey.prefix, job: job, reason: reason + others))
  }
}

/// What came: something that every server answers, or something of its role.
enum ServiceRequest<Role: WireMessage> {
  case conversation(ConversationRequest)
  case role(Role)

  init(from envelope: inout OpenedEnvelope) throws(WireError) {
    if let request = try ConversationRequest(from: &envelope) {
      self = .conversation(request)
    } else {
      self = .role(try Role(from: &envelope))
    }
  }

  /// Whether it opens a conversation.
  var isGreeting: Bool {
    if case .conversation(.hello) = self { return true }
    return false
  }

  /// Whether it is answered at once, whatever else its job waits for.
  var isAboutConnection: Bool {
    switch self {
    case .conversation(.hello), .conversation(.ping): true
    default: false
    }
  }
}

/// What an operator sets of any server.
package struct ServiceConfiguration: Sendable {
  /// Directory for jobs. Plain files and rename only.
  package var store: URL
  /// An owner not heard of for this long is taken for gone; its job is saved and the next one runs.
  package var ownerSilence: Duration
  /// Whose jobs are taken and run, and what each may use.
  package var owners = ServedOwners()
  /// Where what owners do is written down; nil in tests of other things.
  package var eventLog: EventLog?
  /// Where the service counts what it does.
  package let metrics = ServiceMetrics()
  /// Of messages that are read.
  package var limits = WireLimits()
  /// Called before each piece of slow disk work, on the thread that does it; tests make a disk slow with it.
  package var beforeDiskWork: @Sendable () -> Void = {}
  /// How often the handler is told that time passes.
  package var tickInterval: Duration = .seconds(1)
  /// Jobs that may run at a time, at least 1.
  package var jobsAtOnce = 1
  /// How long a job may run while others wait, and how long one waits before a running job makes room for it.
  package var turn: Duration = .seconds(600)

  package init(store: URL, ownerSilence: Duration = .seconds(8)) {
    self.store = store
    self.ownerSilence = ownerSilence
  }
}
