package import Foundations
import Numerics
import Protocol

/// A job at work.
struct RunningJob<Runner: JobRunning> {
  let runner: Runner
  let owner: OwnerKey
  /// Bytes of memory that it may come to take.
  let memory: Int
  /// When its turn began; one that its owner has come back to goes on with its turn.
  let turnBegan: ContinuousClock.Instant
  /// When its owner was last heard of about it.
  var heard: ContinuousClock.Instant
  /// When it was asked to end its turn.
  var turnEnded: ContinuousClock.Instant?
  /// Its owner has come back on a new connection: it goes on in its place once this runner has ended.
  var returns = false
  /// Of its thread, when processor time was last shared out.
  var threadSeconds = 0.0

  /// Whether its place will be free soon: it is being stopped, and not just to go on for its owner's new connection.
  var isLeaving: Bool { runner.stopRequested != nil && (!returns || turnEnded != nil) }
}

extension JobService {
  /// What works on a job; nil for one that does not run.
  package func runner(of id: JobID) -> Handler.Runner? {
    active[id]?.runner
  }

  /// Starts jobs in line, in fair order, for as long as there are places and memory.
  func startNext() {
    guard !isEnding, handler.canRunJobs else { return }
    var hasStarted = false
    while active.count < configuration.jobsAtOnce, let id = nextToStart() {
      start(id)
      hasStarted = true
    }
    if hasStarted { tellPositions() }
  }

  /// Nil where nothing can be started now.
  private func nextToStart() -> JobID? {
    if let promised, canRun(promised), queue.contains(promised) { return fits(promised) ? promised : nil }
    promised = nil
    for id in line() where canRun(id) {
      if fits(id) { return id }
      // Smaller ones pass it for a while, and not for ever.
      if hasWaitedTurn(id) { return nil }
    }
    return nil
  }

  /// - Parameter turnBegan: of a job that goes on with its turn.
  func start(_ id: JobID, turnBegan: ContinuousClock.Instant? = nil) {
    queue.removeAll { $0 == id }
    if promised == id { promised = nil }
    guard let record = jobs[id] else { return }
    shareProcessorTime()
    guard let runner = handler.run(record, in: self) else { return }
    let now = clock.now
    active[id] = RunningJob(
      runner: runner, owner: record.owner, memory: memoryNeeded(by: id), turnBegan: turnBegan ?? now, heard: now)
  }

  /// Whether a job could be started if there is a place for it.
  func canRun(_ id: JobID) -> Bool {
    guard let record = jobs[id] else { return false }
    return record.isRunnable && isServed(record) && active[id] == nil
  }

  /// Whether there is memory for one more job. One alone always runs: what is too large for this server is not admitted.
  ///
  /// - Parameter leaving: running jobs that are not counted.
  func fits(_ id: JobID, without leaving: Set<JobID> = []) -> Bool {
    let staying = active.filter { !leaving.contains($0.key) }
    guard !staying.isEmpty else { return true }
    return staying.values.reduce(memoryNeeded(by: id)) { Self.sum($0, $1.memory) } <= handler.memoryLimit
  }

  /// Bytes; worked out once a job.
  private func memoryNeeded(by id: JobID) -> Int {
    guard let record = jobs[id] else { return 0 }
    if let known = record.memoryNeeded { return known }
    let needed = handler.memoryNeeded(by: record.stored.description) ?? .max
    jobs[id]?.memoryNeeded = needed
    return needed
  }

  /// Bytes that running jobs may come to take.
  var memoryInUse: Int { active.values.reduce(0) { Self.sum($0, $1.memory) } }

  /// Of numbers from 0 on; what cannot be counted is the largest number.
  private static func sum(_ left: Int, _ right: Int) -> Int {
    let (sum, overflow) = left.addingReportingOverflow(right)
    return overflow ? .max : sum
  }

  // MARK: - Processor time

  /// Shares out the processor time that this process has used since the last time, by how much each running job's own thread has: the
  /// worker threads serve all of them, and each job's thread does its part of all of the job's work. The role's own threads have a part
  /// like a job's, which is nobody's.
  func shareProcessorTime() {
    let now = ProcessorTime.ofThisProcess
    let elapsed = max(0, now - processorTimeShared)
    processorTimeShared = now
    let handlerSeconds = handler.threadSeconds
    let ofHandler = max(0, handlerSeconds - handlerThreadSeconds)
    handlerThreadSeconds = handlerSeconds
    guard !active.isEmpty else { return }
    var parts: [JobID: Double] = [:]
    for (id, running) in active {
      let seconds = running.runner.threadSeconds
      parts[id] = max(0, seconds - running.threadSeconds)
      active[id]?.threadSeconds = seconds
    }
    let sum = parts.values.reduce(ofHandler, +)
    for (id, part) in parts {
      let share = elapsed * (sum > 0 ? part / sum : 1 / Double(parts.count))
      jobs[id]?.processorSeconds += share
      if let owner = active[id]?.owner { processorSeconds[owner, default: 0] += share }
    }
  }
}
