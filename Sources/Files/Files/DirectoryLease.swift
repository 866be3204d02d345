package import Foundations
package import Foundation
import Synchronization

/// Holds a directory for one process: a file in it, renewed every few seconds for as long as this object exists.
package final class DirectoryLease: Sendable {
  private struct State {
    var record: LeaseRecord
    var isReleased = false
  }

  private let place: LeasePlace
  private let times: LeaseTimes
  private let state: Mutex<State>
  /// Held while the lease's file is written or removed, which may take long; `state` never is.
  private let file = Mutex(())
  private let onLoss: @Sendable (LeaseError) -> Void
  private let stopped = MonotonicLatch()

  /// Waits for as long as another process may be alive that holds the directory.
  ///
  /// - Parameters:
  ///   - place: a directory that exists.
  ///   - waiting: called with a reason when it has to wait.
  ///   - isCancelled: asked while it waits; true ends the wait.
  ///   - onLoss: called on another thread when another process has taken the directory over; nothing may be written to it then.
  /// - Throws: `LeaseError`; `FileError` when the directory cannot be read or written; `CancellationError`.
  package init(
    _ place: LeasePlace, holder: ProcessIdentity = .own, times: LeaseTimes = LeaseTimes(),
    waiting: @escaping (String) -> Void = { _ in }, isCancelled: @escaping () -> Bool = { false },
    onLoss: @escaping @Sendable (LeaseError) -> Void
  ) throws {
    let record = LeaseRecord(holder: holder, token: .random(in: .min ... .max), beat: 0)
    try LeaseClaim(place: place, times: times, record: record, waiting: waiting, isCancelled: isCancelled).take()
    self.place = place
    self.times = times
    self.onLoss = onLoss
    state = Mutex(State(record: record))
    let thread = Thread { [weak self, stopped] in
      while !stopped.wait(for: times.interval) {
        guard let self, self.renew() else { return }
      }
    }
    thread.name = "lease"
    thread.start()
  }

  deinit {
    release()
  }

  /// Gives the directory up. Call when nothing writes to it any more.
  package func release() {
    stopped.open()
    file.withLock { _ in
      let token = state.withLock { state -> UInt64? in
        defer { state.isReleased = true }
        return state.isReleased ? nil : state.record.token
      }
      if let token, (try? LeaseRecord.read(place))?.token == token { unlink(place.path) }
    }
  }

  /// Names the jobs that run, from the next renewal on.
  ///
  /// - Parameter change: makes the new list from the present one.
  package func updateJobs(_ change: (inout [String]) -> Void) {
    state.withLock { change(&$0.record.running) }
  }

  /// - Returns: false when there is nothing left to renew.
  private func renew() -> Bool {
    let isLost = file.withLock { _ -> Bool? in
      guard let record = state.withLock({ $0.isReleased ? nil : $0.record }) else { return nil }
      let present: LeaseRecord?
      do {
        present = try LeaseRecord.read(place)
      } catch {
        // It may belong to another process by now; the next renewal reads it again.
        return false
      }
      // A lease that was removed is written again.
      guard present == nil || present?.token == record.token else {
        state.withLock { $0.isReleased = true }
        return true
      }
      write()
      return false
    }
    if isLost == true { onLoss(.taken(place)) }
    return isLost == false
  }

  private func write() {
    let record = state.withLock { state in
      state.record.beat &+= 1
      return state.record
    }
    do {
      try record.write(place)
    } catch {
      // On a full disk no file can be written, but the date of the old one can be set.
      utimensat(AT_FDCWD, place.path, nil, 0)
    }
  }
}

/// A directory that one process can hold: where it is, the name of the lease's file in it, and what messages call it.
package struct LeasePlace: Sendable, Equatable {
  package let directory: URL
  /// Name of the lease's file.
  package let file: String
  /// The directory as messages name it: "the store".
  package let subject: String

  package init(directory: URL, file: String, subject: String) {
    self.directory = directory
    self.file = file
    self.subject = subject
  }

  package var path: String { directory.appending(path: file).path }
}

/// How often a lease is renewed, and when it counts as left behind.
package struct LeaseTimes: Sendable {
  /// Between renewals.
  package var interval: Duration = .seconds(5)
  /// A lease renewed longer ago, by the file system's clock, is of a process that is gone, if it is not renewed now.
  package var limit: Duration = .seconds(30)

  package init() {}

  /// A holder that lives renews within this time, whatever any clock says.
  var observation: Duration { interval * 2 + interval / 2 }
  /// Until two processes that take the same lease at once see which of them has it.
  var settling: Duration { interval / 10 }
}

/// Why a directory cannot be held.
package enum LeaseError: Failure, Equatable {
  /// Another process that is alive, or may be, has it.
  case held(LeasePlace, by: String)
  /// Another process took it over because this one did not renew its lease.
  case taken(LeasePlace)
  /// The lease's file is not one that this program wrote.
  case damaged(path: String)

  package var kind: FailureKind {
    switch self {
    case .held, .taken: .usage
    case .damaged: .inputData
    }
  }

  package var description: String {
    switch self {
    case .held(let place, let holder): "\(place.subject) \(place.directory.path) is in use by \(holder)"
    case .taken(let place):
      "another process has taken \(place.subject) \(place.directory.path) over, because this one did not renew its lease for too long"
    case .damaged(let path): "\(path) is damaged; restore or remove it"
    }
  }
}

/// What a lease's file says: who holds the directory, and that it is alive.
package struct LeaseRecord: Codable, Equatable, Sendable {
  package let holder: ProcessIdentity
  /// Different for every lease that is taken.
  package let token: UInt64
  /// Grows with every renewal.
  package var beat: UInt64
  /// The first of the jobs that run, where readers of before look.
  private var job: String?
  /// All of them, where there are several.
  private var jobs: [String]?

  /// The jobs that run, in the order in which they began.
  package var running: [String] {
    get { jobs ?? job.map { [$0] } ?? [] }
    set {
      job = newValue.first
      jobs = newValue.count > 1 ? newValue : nil
    }
  }

  package init(holder: ProcessIdentity, token: UInt64, beat: UInt64) {
    self.holder = holder
    self.token = token
    self.beat = beat
  }

  /// - Returns: nil when there is no lease.
  /// - Throws: `LeaseError.damaged`; `FileError` when it cannot be read.
  package static func read(_ place: LeasePlace) throws -> LeaseRecord? {
    try read(at: place.path)
  }

  static func read(at path: String) throws -> LeaseRecord? {
    guard let bytes = try SmallFile.read(path) else { return nil }
    guard let record = try? JSONDecoder().decode(LeaseRecord.self, from: bytes) else {
      throw LeaseError.damaged(path: path)
    }
    return record
  }

  package func write(_ place: LeasePlace) throws {
    try write(to: place.path, replacing: true)
  }

  /// - Throws: `FileError`; `.system(.create, _, EEXIST)` where there is a file that is not to be replaced.
  func write(to path: String, replacing: Bool) throws {
    try AtomicFile.write(try JSONEncoder().encode(self), to: path, replacing: replacing)
  }

  /// - Throws: `LeaseError.damaged` where the lease's path is not a regular file: no process ever makes such a lease.
  static func checkKind(_ place: LeasePlace) throws(LeaseError) {
    var status = stat()
    guard lstat(place.path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .damaged(path: place.path) }
  }

  /// Of the lease's last renewal, in seconds of the clock of the file system it is on; nil when there is none.
  package static func renewalTime(_ place: LeasePlace) -> Double? {
    writingTime(place.path)
  }

  /// As `renewalTime`, of any file.
  static func writingTime(_ path: String) -> Double? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Double(status.st_mtim.tv_sec) + Double(status.st_mtim.tv_nsec) * 1e-9
  }

  /// The holder as messages name it.
  package var holderText: String { "process \(holder.pid) on \(holder.host)" }
}

/// A process that can be told from every other one, before or after it, on this machine or another.
package struct ProcessIdentity: Codable, Equatable, Sendable {
  package let host: String
  package let pid: Int32
  /// Of the machine's present boot; empty where it is not known.
  package let boot: String
  /// In which process numbers count: containers of one machine have numbers of their own.
  package let namespace: String
  /// Clock ticks between the boot and the start of the process: numbers are given again, but not within a tick.
  package let startTicks: UInt64

  package init(host: String, pid: Int32, boot: String, namespace: String, startTicks: UInt64) {
    self.host = host
    self.pid = pid
    self.boot = boot
    self.namespace = namespace
    self.startTicks = startTicks
  }

  package static var own: ProcessIdentity {
    let pid = getpid()
    return ProcessIdentity(
      host: hostName, pid: pid, boot: bootID, namespace: namespaceID, startTicks: startTicks(of: pid) ?? 0)
  }

  /// Whether the process lives; nil when that cannot be seen from here.
  package var isAlive: Bool? {
    guard !boot.isEmpty, boot == Self.bootID, namespace == Self.namespaceID else { return nil }
    guard let ticks = Self.startTicks(of: pid) else { return kill(pid, 0) == 0 || errno == EPERM ? nil : false }
    return ticks == startTicks
  }

  package static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    return String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private static var bootID: String {
    let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
    return String((text ?? "").prefix { !$0.isWhitespace })
  }

  private static var namespaceID: String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")) ?? ""
  }

  /// The 22nd field of /proc/PID/stat; the second, in parentheses, may hold anything. A zombie is no living process.
  private static func startTicks(of pid: Int32) -> UInt64? {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let name = text.lastIndex(of: ")")
    else { return nil }
    let fields = text[text.index(after: name)...].split(separator: " ")
    guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return fields.isEmpty ? nil : 0 }
    return UInt64(fields[19])
  }
}
