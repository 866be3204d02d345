package import Foundations
package import Protocol

/// A role of the service: what a server does with the jobs that its owners submit.
///
/// The service admits owners by their keys, keeps the table of jobs, their files, the line of those that wait and the event log, and
/// speaks for every server (greetings, signs of life, refusals, status, removal). What a job is and what happens to it, the handler
/// decides. All calls come on the service thread, one at a time; what takes long belongs to `JobService.onDisk` or to a runner.
package protocol JobHandler: AnyObject, SendableMetatype {
  /// What an owner submits.
  associatedtype Content: JobContent
  /// What owners say about their jobs.
  associatedtype Request: WireMessage
  /// What they are told.
  associatedtype Answer: WireMessage
  /// What the role keeps in memory of one job.
  associatedtype State
  /// What it has to tell for the log beside what every server tells.
  associatedtype RoleEvent: Sendable = Never
  /// What works on one job on a thread of its own; as many jobs at a time have one as the service is configured with.
  associatedtype Runner: JobRunning = NoRunner

  /// The server, as its messages, files and metrics name it: `trainer`.
  static var program: String { get }

  /// The job that a request proposes; nil for all other requests.
  static func submission(in request: Request) -> Content?

  /// Joins an answer to the one before it of the same job where that is possible; see `Outbox.Merge`.
  static func merge(_ later: Answer, into earlier: inout Answer) -> Bool

  /// Steps that are done, where a runner's answer says it.
  static func stepsDone(in answer: Answer) -> Int?

  /// Whether a runner's answer goes only to connections that follow the job.
  static func isForFollowers(_ answer: Answer) -> Bool

  /// How long an owner may be silent before it is taken for gone, where its own work may keep it busy for longer than the service expects; nil
  /// for what the service is configured with.
  var ownerSilence: Duration? { get }

  /// False when no job can be run any more: the service then stops as on a signal.
  var canRunJobs: Bool { get }

  /// Why the service must end, with jobs or without; nil while it need not. `JobService.run` throws it in the end.
  var failure: (any Failure)? { get }

  /// The answer to `hello`.
  func greeting(for owner: OwnerKey, limits: OwnerLimits) -> Answer

  /// Decides whether a new job fits this server, before anything of it is stored.
  ///
  /// - Parameter limits: of its owner. The service itself looks after those of disk and queue.
  /// - Throws: `ServiceError` that states the number and the limit.
  func admit(_ content: Content, limits: OwnerLimits) throws -> Admission<State>

  /// What is known of a job that an earlier process admitted.
  func state(of job: StoredJob<Content>) -> State

  /// The most bytes that a job may come to hold on disk; nil for more than can be counted.
  func diskNeeded(by content: Content) throws -> Int?

  /// Bytes of memory that a job may come to take while it runs; nil for more than can be counted.
  func memoryNeeded(by content: Content) -> Int?

  /// Bytes of memory that running jobs may take together.
  var memoryLimit: Int { get }

  /// Whether a key may send requests about a job; by default only its owner's may.
  func admits(_ key: OwnerKey, to job: JobRecord<Self>) -> Bool

  /// A submitted job is stored: answers its owner.
  ///
  /// - Parameter isNew: false when it was known already.
  func submitted(_ id: JobID, isNew: Bool, from peer: PeerID, in service: JobService<Self>)

  /// What a request is about; by default a job of the table.
  static func subject(of request: Request) -> RequestSubject

  /// Whether a key that no owner has may connect and be greeted, for requests of the kind `.guests`; by default none may.
  func isGuest(_ key: OwnerKey) -> Bool

  /// Whether an id stands for something of the role's that is no job of the table; by default none does.
  func isTaken(_ id: JobID) -> Bool

  /// CPU seconds of the role's own threads so far, which work for no job.
  var threadSeconds: Double { get }

  /// What a request is of the work that a running job waits for from its owner; by default nothing.
  static func work(in request: Request) -> OwnersWork

  /// Does what a request asks for that is about no job of the table.
  ///
  /// - Parameter id: as the request's envelope has it; whether the peer may speak about it is for the handler to check.
  /// - Throws: what `peer` is told as a refusal.
  func handle(_ request: Request, beside id: JobID, from peer: PeerID, in service: JobService<Self>) throws

  /// A thread of the role's own has posted `Outbox.Item.roleWork`: takes what it has, on the service thread.
  func takeWork(in service: JobService<Self>)

  /// The owners who are served are others than before.
  func ownersChanged(in service: JobService<Self>)

  /// Connections that are told when the server stops, beside those of jobs, with what they speak about.
  var guests: [(job: JobID, peer: PeerID)] { get }

  /// Does what a request asks for of a job that is in the table.
  ///
  /// - Throws: what `peer` is told as a refusal.
  func handle(_ request: Request, of id: JobID, from peer: PeerID, in service: JobService<Self>) throws

  /// Starts to work on a job whose turn has come. The runner's end is posted to the service's outbox as `.ended`, exactly once.
  func run(_ job: JobRecord<Self>, in service: JobService<Self>) -> Runner?

  /// Steps after which the job's work is durable.
  func savedSteps(of id: JobID, in store: JobStore<Content>) -> Int

  /// What a job's steps were multiplied with, as far as the role keeps it; nil by default.
  func kernels(of id: JobID, in store: JobStore<Content>) -> [KernelUse]?

  /// Called every `ServiceConfiguration.tickInterval` or so between messages, for what depends on the time.
  func tick(in service: JobService<Self>)

  /// A connection is silent for too long, or cannot be sent anything: it counts as gone.
  ///
  /// - Parameter silence: since it was last heard of.
  /// - Returns: whether it was in the middle of something: if it is there after all, it is told to greet again.
  func lost(_ peer: PeerID, after silence: Duration, in service: JobService<Self>) -> Bool

  /// Whether a key that may speak about a job may also have it cancelled or released; by default it may.
  ///
  /// - Throws: what it is told otherwise.
  func checkRemoval(of job: JobRecord<Self>, by key: OwnerKey) throws

  /// Connections that are told of a job when the server stops, beside the one that works on it.
  func listeners(of job: JobRecord<Self>) -> [PeerID]
}

extension JobHandler {
  package static func merge(_ later: Answer, into earlier: inout Answer) -> Bool { false }

  package static func stepsDone(in answer: Answer) -> Int? { nil }

  package static func isForFollowers(_ answer: Answer) -> Bool { false }

  package static func subject(of request: Request) -> RequestSubject { .job }

  package func isGuest(_ key: OwnerKey) -> Bool { false }

  package func isTaken(_ id: JobID) -> Bool { false }

  package var threadSeconds: Double { 0 }

  package static func work(in request: Request) -> OwnersWork { .none }

  package func handle(_ request: Request, beside id: JobID, from peer: PeerID, in service: JobService<Self>) throws {
    throw ServiceError.noSuchJob(at: Self.program)
  }

  package func takeWork(in service: JobService<Self>) {}

  package func ownersChanged(in service: JobService<Self>) {}

  package var guests: [(job: JobID, peer: PeerID)] { [] }

  package var ownerSilence: Duration? { nil }

  package var canRunJobs: Bool { true }

  package var failure: (any Failure)? { nil }

  package func diskNeeded(by content: Content) throws -> Int? { 0 }

  package func memoryNeeded(by content: Content) -> Int? { 0 }

  package var memoryLimit: Int { .max }

  package func admits(_ key: OwnerKey, to job: JobRecord<Self>) -> Bool { job.owner == key }

  package func savedSteps(of id: JobID, in store: JobStore<Content>) -> Int { 0 }

  package func kernels(of id: JobID, in store: JobStore<Content>) -> [KernelUse]? { nil }

  package func tick(in service: JobService<Self>) {}

  package func lost(_ peer: PeerID, after silence: Duration, in service: JobService<Self>) -> Bool { false }

  package func checkRemoval(of job: JobRecord<Self>, by key: OwnerKey) throws {}

  package func listeners(of job: JobRecord<Self>) -> [PeerID] { [] }
}

extension JobHandler where Runner == NoRunner {
  package func run(_ job: JobRecord<Self>, in service: JobService<Self>) -> NoRunner? { nil }
}

/// What a request of a role is about.
package enum RequestSubject: Sendable {
  /// A job of the table, by its owner.
  case job
  /// Something else that owners have here.
  case owners
  /// Something that peers may ask who need not be owners.
  case guests
}

/// What a message of an owner does for a running job that its owner paces.
package enum OwnersWork: Sendable {
  case none
  /// A part of a step: there are so many, and then it ends.
  case ofStep
  /// Something that could go on for ever without a step: an evaluation.
  case besideSteps
}

/// A job that may come, and what is known of it.
package struct Admission<State> {
  package let state: State
  /// The most bytes that it may come to hold on disk; nil for more than can be counted.
  package let diskNeeded: Int?

  package init(state: State, diskNeeded: Int? = 0) {
    self.state = state
    self.diskNeeded = diskNeeded
  }
}

/// What works on one job on a thread of its own.
package protocol JobRunning: Sendable {
  var job: JobID { get }

  /// Takes effect as soon as it can, or at the end of a step where the reason waits for that; the first reason stays that takes effect at
  /// once, but for a cancellation.
  func stop(_ reason: StopReason)

  /// CPU seconds of its thread so far.
  var threadSeconds: Double { get }

  /// The reason to stop, if there is one.
  var stopRequested: StopReason? { get }
}

/// Of a role whose jobs only answer.
package enum NoRunner: JobRunning {
  package var job: JobID { switch self {} }

  package func stop(_ reason: StopReason) {}

  package var stopRequested: StopReason? { nil }

  package var threadSeconds: Double { 0 }
}

/// A job as the service thread knows it.
package struct JobRecord<Handler: JobHandler> {
  package var stored: StoredJob<Handler.Content>
  package let owner: OwnerKey
  /// The connection on which its owner uploads, works or follows: where a runner's messages go. Questions that come over
  /// another one of the same owner (`status`, `cancel`) are answered there and change nothing here.
  package internal(set) var peer: PeerID
  package var state: Handler.State
  /// Steps (of training, or whatever the role counts) that are done.
  package internal(set) var step = 0
  /// Whether its owner is here for it: it waits for its turn or is at work.
  package internal(set) var isAttached = false
  /// Whether its owner wants to hear how it goes on by itself.
  package var follows = false
  /// The most that it may come to hold on disk; nil until it is asked for.
  var diskNeeded: Int?
  /// Who asked to cancel it while it ran; it is removed once the runner has ended.
  var canceller: PeerID?
  /// CPU seconds of its own, as they are shared out among running jobs.
  var processorSeconds = 0.0
  /// The most memory that it may come to take; nil until it is asked for.
  var memoryNeeded: Int?
  /// When it was last put in line.
  var waitsSince: ContinuousClock.Instant?
  /// The connection on which its owner last submitted it or came back to it.
  var submitter: PeerID?

  init(stored: StoredJob<Handler.Content>, peer: PeerID, state: Handler.State) {
    self.stored = stored
    self.peer = peer
    self.state = state
    owner = peer.ownerKey
  }

  package var id: JobID { stored.id }
  package var isAutonomous: Bool { stored.description.isAutonomous }
  /// Whether it is complete and kept for what others ask of it.
  package var isHosted: Bool { stored.phase == .ready && stored.description.isKept }
  /// Whether it could run now.
  var isRunnable: Bool { stored.phase == .ready && (isAutonomous || isAttached) }
  /// Whether it may still take more of the disk.
  var isOpen: Bool { stored.phase == .uploading || stored.phase == .ready && !isHosted }
}
