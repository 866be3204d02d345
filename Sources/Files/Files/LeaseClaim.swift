import Foundation

/// Takes a directory's lease: at once when there is none or its holder is known to be dead, after a while when nobody renews it.
///
/// File locks are not used, because network file systems may lack them: `link` makes the first lease. To replace a lease, a claimant first
/// makes a reservation, a file named after the replaced lease; `link` succeeds for one claimant only. The reservation is then renamed to
/// the lease. A holder on this machine is looked up by its process number. A holder on another machine counts as alive while its lease
/// is younger than the limit, by the clock that dates the directory's files, and whenever it renews the lease during the wait. A clock
/// that jumps therefore makes the wait longer, but a lease that is held is never taken.
struct LeaseClaim {
  let place: LeasePlace
  let times: LeaseTimes
  let record: LeaseRecord
  /// Called with a reason when it has to wait.
  let waiting: (String) -> Void
  /// Whether to stop waiting.
  let isCancelled: () -> Bool

  private let clock = ContinuousClock()
  private static let reservationPrefix = ".lease-after-"
  private static let clockPrefix = ".clock-"

  init(
    place: LeasePlace, times: LeaseTimes, record: LeaseRecord, waiting: @escaping (String) -> Void,
    isCancelled: @escaping () -> Bool = { false }
  ) {
    self.place = place
    self.times = times
    self.record = record
    self.waiting = waiting
    self.isCancelled = isCancelled
  }

  /// - Throws: `LeaseError.held` and `.damaged`; `FileError` when the directory cannot be written; `CancellationError`.
  func take() throws {
    while true {
      try LeaseRecord.checkKind(place)
      // Looked for first: on a full disk a new file would fail before it shows that there is one.
      if LeaseRecord.renewalTime(place) == nil, try create() { break }
      if try replace() { break }
    }
    removeLeftovers()
  }

  /// Removes temporary files of killed processes. Other claimants write to the directory too, but no file takes them as long as the limit.
  private func removeLeftovers() {
    guard let now = LeaseRecord.renewalTime(place) else { return }
    for name in (try? Directory.names(in: place.directory.path)) ?? []
    where AtomicFile.isTemporaryName(name) || name.hasPrefix(Self.clockPrefix) {
      let path = place.directory.appending(path: name).path
      guard let written = LeaseRecord.writingTime(path), now - written > times.limit / .seconds(1) else { continue }
      unlink(path)
    }
  }

  /// Makes the first lease.
  ///
  /// - Returns: false when another process has one.
  func create() throws -> Bool {
    try make(place.path)
  }

  /// - Returns: false when the file exists and is another process's.
  private func make(_ path: String) throws -> Bool {
    do {
      try record.write(to: path, replacing: false)
      return true
    } catch let error as FileError {
      guard case .system(.create, _, EEXIST) = error else { throw error }
      // NFS repeats a `link` whose answer was lost, and then finds what it made itself.
      return (try? LeaseRecord.read(at: path))?.token == record.token
    }
  }

  /// - Returns: false when the caller has to try again.
  private func replace() throws -> Bool {
    let other = try? LeaseRecord.read(place)
    if other?.token == record.token { return true }
    let reservation = reservationPath(for: other)
    let holder = other?.holderText ?? "unknown"
    switch other?.holder.isAlive {
    case true?: throw LeaseError.held(place, by: holder)
    case false?: break
    case nil: try observe(other, holder: holder)
    }
    guard LeaseRecord.renewalTime(place) != nil else { return false }
    guard try reserve(reservation) else {
      try awaitEnd(of: reservation)
      return false
    }
    return try publish(reservation, replacing: other)
  }

  /// What only one claimant can make at a time, for the lease that it replaces; a damaged lease is known by its date.
  func reservationPath(for other: LeaseRecord?) -> String {
    let name =
      other.map { String($0.token, radix: 16) } ?? "damaged-\((LeaseRecord.renewalTime(place) ?? 0).bitPattern)"
    return place.directory.appending(path: Self.reservationPrefix + name).path
  }

  /// - Returns: false when another process is replacing the same lease.
  func reserve(_ reservation: String) throws -> Bool {
    try make(reservation)
  }

  /// Puts the reservation in the lease's place.
  ///
  /// A claimant removes a reservation that it takes to be abandoned. The slow owner of that reservation then renames nothing, or renames the
  /// next claimant's reservation into place. Either way the process whose record the lease's file holds has the lease.
  ///
  /// - Returns: false when another process has the lease.
  func publish(_ reservation: String, replacing other: LeaseRecord?) throws -> Bool {
    // Another process may have replaced it between reading it and the reservation.
    let present = try? LeaseRecord.read(place)
    guard present == other || present?.token == record.token else {
      if (try? LeaseRecord.read(at: reservation))?.token == record.token { unlink(reservation) }
      return false
    }
    let isMoved = present == other && rename(reservation, place.path) == 0
    guard isMoved || present != other || errno == ENOENT else {
      throw FileError.system(.rename, path: place.path, code: errno)
    }
    // A holder that was only slow may write its lease once more; a holder that was replaced notices at its next renewal.
    Thread.sleep(forTimeInterval: (isMoved ? times.settling : times.observation) / .seconds(1))
    guard try LeaseRecord.read(place)?.token == record.token else { return false }
    removeReservations()
    return true
  }

  /// Removes the reservations of earlier leases, which are void for claimants that still wait.
  private func removeReservations() {
    for name in (try? Directory.names(in: place.directory.path)) ?? [] where name.hasPrefix(Self.reservationPrefix) {
      unlink(place.directory.appending(path: name).path)
    }
  }

  /// Waits until another process's reservation has become a lease, or is taken to be abandoned and is removed.
  private func awaitEnd(of reservation: String) throws {
    let first = try? LeaseRecord.read(at: reservation)
    let holder = first?.holderText ?? "unknown"
    var limit = times.limit
    switch first?.holder.isAlive {
    case true?: throw LeaseError.held(place, by: holder)
    case false?: limit = .zero
    case nil:
      waiting(
        "\(holder) is taking \(place.subject); watching for \(Int(limit / .seconds(1)) + 1) s whether it is alive")
    }
    let end = clock.now + limit
    while clock.now < end {
      try pause()
      guard access(reservation, F_OK) == 0 else { return }
    }
    if (try? LeaseRecord.read(at: reservation)) == first { unlink(reservation) }
  }

  /// Waits until the lease is taken to be abandoned.
  private func observe(_ other: LeaseRecord?, holder: String) throws {
    let first = LeaseRecord.renewalTime(place)
    guard let first else { return }
    let age: Double = try presentTime() - first
    let window: Double = window(age: age)
    waiting("\(place.subject) was last held by \(holder); watching for \(Int(window) + 1) s whether it is alive")
    let end: ContinuousClock.Instant = clock.now + Duration.seconds(window)
    while clock.now < end {
      try pause()
      guard let renewed = LeaseRecord.renewalTime(place) else { return }
      guard renewed == first, (try? LeaseRecord.read(place)) == other else {
        throw LeaseError.held(place, by: holder)
      }
    }
  }

  private func pause() throws {
    if isCancelled() { throw CancellationError() }
    Thread.sleep(forTimeInterval: times.interval / .seconds(1) / 20)
  }

  /// How long to watch a lease of this age; one below zero is that of a clock set back. All in seconds.
  private func window(age: Double) -> Double {
    let limit: Double = times.limit / .seconds(1)
    let left: Double = limit - Swift.max(age, 0)
    return Swift.max(times.observation / .seconds(1), left)
  }

  /// By the clock that dates files of the directory, which may be another machine's.
  private func presentTime() throws -> Double {
    let path = place.directory.appending(path: Self.clockPrefix + "\(record.token)").path
    try AtomicFile.write(Data(), to: path)
    defer { unlink(path) }
    guard let time = LeaseRecord.writingTime(path) else {
      throw FileError.system(.read, path: path, code: errno)
    }
    return time
  }
}
