import Foundations
import Protocol

extension JobService {
  /// Ends the turn of a running job where one in line has waited for longer than a turn: at the end of its step it is saved, and goes to
  /// the end of the line.
  func checkTurns() {
    guard !isEnding, !queue.isEmpty, !active.isEmpty else { return }
    let now = clock.now
    if let lastTurnCheck, lastTurnCheck.duration(to: now) < min(.milliseconds(500), configuration.turn / 8) { return }
    lastTurnCheck = now
    // What was in the way of another may have left the line.
    if active.count < configuration.jobsAtOnce { startNext() }
    endIdleTurns()
    if let promised, !canRun(promised) || !queue.contains(promised) { self.promised = nil }
    guard let waiting = promised ?? line().first(where: { canRun($0) && hasWaitedTurn($0) }),
      let stopped = turnsToEnd(for: waiting), !stopped.isEmpty
    else { return }
    promised = waiting
    for id in stopped {
      active[id]?.turnEnded = now
      active[id]?.runner.stop(.turnOver)
    }
  }

  /// Running jobs that make room for one that waits, beside those that end already; nil where all of them would be stopped in vain.
  private func turnsToEnd(for waiting: JobID) -> [JobID]? {
    var leaving = Set(active.filter(\.value.isLeaving).keys)
    var stopped: [JobID] = []
    func stop(_ jobs: [JobID]) {
      for id in jobs where !leaving.contains(id) && !hasRoom(for: waiting, without: leaving) {
        leaving.insert(id)
        stopped.append(id)
      }
    }
    let over = turnsOver()
    let running = runningByOwner
    guard let owner = jobs[waiting]?.owner else { return nil }
    let own = running[owner, default: 0]
    // An owner makes room for its own jobs, and for those of owners with fewer at work; for memory whoever has it.
    stop(over.filter { active[$0]?.owner == owner || active[$0].map { running[$0.owner, default: 0] > own } == true })
    if active.count - leaving.count < configuration.jobsAtOnce { stop(over) }
    return hasRoom(for: waiting, without: leaving) ? stopped : nil
  }

  private func hasRoom(for id: JobID, without leaving: Set<JobID>) -> Bool {
    active.count - leaving.count < configuration.jobsAtOnce && fits(id, without: leaving)
  }

  /// Running jobs whose turn is over, those to be stopped first before the others: of the owner with the most jobs at work, then of the
  /// one that has used the most processor time, then the one that has run for longest. What ends with its owner's connection cannot go on
  /// later. One that is being stopped for its owner's new connection counts: an owner that comes anew all the time would keep its place.
  private func turnsOver() -> [JobID] {
    let now = clock.now
    let running = runningByOwner
    let candidates = active.filter { id, job in
      !job.isLeaving && job.turnBegan.duration(to: now) >= configuration.turn
        && jobs[id]?.stored.description.endsWithOwner == false
    }
    func isBefore(_ left: RunningJob<Handler.Runner>, _ right: RunningJob<Handler.Runner>) -> Bool {
      let (many, few) = (running[left.owner, default: 0], running[right.owner, default: 0])
      guard many == few else { return many > few }
      let (much, little) = (processorSeconds[left.owner, default: 0], processorSeconds[right.owner, default: 0])
      guard much == little else { return much > little }
      return left.turnBegan < right.turnBegan
    }
    return candidates.sorted { isBefore($0.value, $1.value) }.map(\.key)
  }

  /// How many turns what goes on beside steps may last once a turn is over.
  private static var turnsBesideSteps: Int { 8 }

  /// Its owner has taken part in a running job's work.
  func note(_ work: OwnersWork, for id: JobID) {
    let now = clock.now
    switch work {
    case .none: return
    case .ofStep: break
    case .besideSteps:
      if let ended = active[id]?.turnEnded, ended.duration(to: now) > configuration.turn * Self.turnsBesideSteps {
        return
      }
    }
    active[id]?.heard = now
  }

  /// An owner that lets its step wait for a whole turn keeps its place no longer.
  private func endIdleTurns() {
    let now = clock.now
    for (id, job) in active where jobs[id]?.isAutonomous == false {
      guard let ended = job.turnEnded, job.runner.stopRequested == .turnOver,
        max(ended, job.heard).duration(to: now) >= configuration.turn
      else { continue }
      job.runner.stop(.turnForfeited)
    }
  }

  /// A runner has saved its job for others.
  ///
  /// - Parameter running: as it was.
  func endTurn(of id: JobID, _ running: RunningJob<Handler.Runner>, step: Int) {
    guard let record = jobs[id] else { return }
    jobs[id]?.step = step
    observe(.jobPaused(job: id, step: step, reason: StopReason.turnOver.text(program: Handler.program)))
    configuration.eventLog?.note(LoggedEvent(.turnEnded, owner: record.owner, job: id))
    configuration.metrics.countTurn()
    // Its owner is on a connection that waits for its turn.
    guard !record.isAutonomous, !running.returns else { return enqueue(id) }
    // What its owner has sent since the step's end is void. It greets again, and attaches, which puts the job at the end of the line.
    jobs[id]?.isAttached = false
    guard connections.isConnected(record.peer) else { return }
    let isTold = connections.version(of: record.peer) >= .five
    tell(.goodbye(step: step, reason: isTold ? .turnEnded : .stopping), job: id, to: record.peer)
    connections.breaks(record.peer, at: clock.now)
  }

  /// Whether a job in line has waited for longer than a turn.
  func hasWaitedTurn(_ id: JobID) -> Bool {
    guard let began = jobs[id]?.waitsSince else { return false }
    return began.duration(to: clock.now) >= configuration.turn
  }

  /// Jobs at work, by owner.
  var runningByOwner: [OwnerKey: Int] {
    active.values.reduce(into: [:]) { $0[$1.owner, default: 0] += 1 }
  }
}
