import Files
import Foundations
package import Foundation
import Synchronization

/// `store/audit.log`: who did what and when, a line an event, each with the hash of the line before, so that no line can be
/// changed or taken out without every later one showing it.
///
/// What the end alone loses shows only to whoever noted the last hash elsewhere; see `EventLogVerification`. One process writes
/// at a time. What a full disk keeps from being written, or a file that was moved, removed or changed under the server, waits in memory, up
/// to a number; until it is written no job is taken.
package final class EventLog: Sendable {
  private struct State {
    var nextSequence: Int
    var previous: String
    /// In order, not yet in the file.
    var waiting: [(event: LoggedEvent, date: Date)] = []
    /// Events for which there was no room in `waiting` either.
    var unlogged = 0
    var throttle = EventLogThrottle()
    /// The last attempt to write failed, and was told of.
    var isFailing = false
    /// What the observer is to be told, in order, and whether it just is.
    var changes: [Change] = []
    var isTelling = false
  }

  package let path: String
  private let program: String
  private let file: LineLog
  private let now: @Sendable () -> Date
  private let observe: @Sendable (Change) -> Void
  private let state: Mutex<State>

  private static let longestWaiting = 1024

  package static let fileName = "audit.log"

  /// Whether the log can be written, when that changes.
  package enum Change: Sendable, Equatable {
    /// What is wrong and what to do.
    case failed(reason: String)
    /// What waited is written.
    case mended
  }

  /// Opens or makes the log, putting aside a line that a crash left unfinished. A new log in a store that has served before says so.
  ///
  /// - Parameters:
  ///   - program: that writes it, as its errors name it: `trainer`.
  ///   - observe: told of changes in their order, on any thread, outside of any lock.
  /// - Throws: `FileError`; `ServiceError` of kind `.checkFailed` when what is there is no such log.
  package init(
    store: URL, program: String, now: @escaping @Sendable () -> Date = { Date() },
    observe: @escaping @Sendable (Change) -> Void = { _ in }
  ) throws {
    try Directory.create(store.path)
    path = store.appending(path: Self.fileName).path
    self.program = program
    self.now = now
    self.observe = observe
    let end = try EventLogEnd(path: path, program: program)
    let putAside = try end.putTornLineAside()
    file = try Self.open(path)
    state = Mutex(State(nextSequence: end.lastSequence + 1, previous: end.lastHash))
    if let putAside { note(LoggedEvent(.recovered, reason: putAside)) }
    if end.lastSequence == 0, StoreFormat.hasServed(store) {
      note(
        LoggedEvent(
          .recovered,
          reason: "the store has served before, but its event log was gone or empty: a new chain begins here"))
    }
  }

  private static func open(_ path: String) throws -> LineLog {
    do {
      return try LineLog(path: path, mode: 0o600)
    } catch {
      // The directory is there: it is a link, whose target is not.
      guard case .system(.create, _, ENOENT) = error else { throw error }
      throw ServiceError(.inputData, "\(path) is a link whose target cannot be created; correct the link, or remove it")
    }
  }

  /// Writes an event that must not go unlogged; on the disk when this returns, with all that waited.
  ///
  /// - Throws: `ServiceError` of kind `.exhausted`, said to the owner whose job is refused for it.
  package func require(_ event: LoggedEvent) throws(ServiceError) {
    let date = now()
    defer { tellChanges() }
    do {
      try state.withLock { state in
        state.waiting.append((event, date))
        do {
          try write(&state)
        } catch {
          // What was refused did not happen.
          _ = state.waiting.popLast()
          throw error
        }
      }
    } catch {
      throw ServiceError(
        .exhausted,
        "the \(program) cannot write its event log and accepts no job that it cannot log (\((error as? any Failure)?.descriptionForOthers ?? "\(error)")); ask its operator",
        cause: .eventLog)
    }
  }

  /// Writes an event, or keeps it until it can be written.
  ///
  /// - Returns: false when there is no room to keep it; then it is only counted.
  @discardableResult
  package func note(_ event: LoggedEvent) -> Bool {
    let date = now()
    defer { tellChanges() }
    return state.withLock { state in
      guard let event = state.throttle.admit(event, at: .now) else { return true }
      guard state.waiting.count < Self.longestWaiting else {
        state.unlogged += 1
        return false
      }
      state.waiting.append((event, date))
      try? write(&state)
      return true
    }
  }

  /// Tries to write what waits.
  package func flush() {
    defer { tellChanges() }
    state.withLock { state in
      if !state.waiting.isEmpty || state.unlogged > 0 { try? write(&state) }
    }
  }

  /// Outside of the lock: the observer may call the log.
  private func tellChanges() {
    while true {
      let next = state.withLock { state -> Change? in
        guard !state.isTelling, !state.changes.isEmpty else { return nil }
        state.isTelling = true
        return state.changes.removeFirst()
      }
      guard let next else { return }
      observe(next)
      state.withLock { $0.isTelling = false }
    }
  }

  /// Events that could not be written yet.
  package var waitingCount: Int { state.withLock { $0.waiting.count + $0.unlogged } }

  /// All that waits goes to the disk, or none of it.
  private func write(_ state: inout State) throws {
    var events = state.waiting
    if state.unlogged > 0 {
      events.append(
        (LoggedEvent(.unlogged, reason: "while the log could not be written", suppressed: state.unlogged), now()))
    }
    let before = (lines: file.lineCount, sequence: state.nextSequence, previous: state.previous)
    do {
      try file.checkInPlace()
      for (event, date) in events {
        let line = EventLogLine(event, at: date, sequence: state.nextSequence, previous: state.previous)
        let text = try line.text()
        try file.append(text)
        state.nextSequence += 1
        state.previous = EventLogLine.hash(of: Data(text.utf8))
      }
      try file.sync()
      state.waiting = []
      state.unlogged = 0
      if state.isFailing {
        state.isFailing = false
        state.changes.append(.mended)
      }
    } catch {
      defer {
        if !state.isFailing {
          state.isFailing = true
          state.changes.append(.failed(reason: (error as? any Failure)?.description ?? "\(error)"))
        }
      }
      // A line that a failed sync leaves in doubt is taken back, and written anew later.
      if file.lineCount > before.lines { try? file.truncate(toLines: before.lines) }
      let written = file.lineCount - before.lines
      if written <= 0 {
        (state.nextSequence, state.previous) = (before.sequence, before.previous)
      } else {
        // It can neither be taken back nor be trusted to the disk: the chain goes on behind it.
        if written > state.waiting.count { state.unlogged = 0 }
        state.waiting.removeFirst(min(written, state.waiting.count))
      }
      throw error
    }
  }
}
