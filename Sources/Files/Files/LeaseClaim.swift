import Foundation

/// Takes a directory's lease: at once when there is none or its holder is known to be dead, after a while when nobody renews it.
///
/// No file locks, which network file systems may lack: `link` makes the first lease. To replace one takes a reservation, a file named after
/// the replaced lease, which `link` makes for one claimant alone; renamed, it is the new lease. A holder on this machine is looked
/// up; one on another counts as alive while its lease is younger than the limit, by the clock that dates the directory's files, and in
/// any case when it renews the lease while this waits. So a clock that jumps makes this wait longer, and never take what is held.
struct LeaseClaim {
  let place: LeasePlace
  let times: LeaseTimes
  let record: LeaseRecord
  /// Told when there is something to wait for.
  let waiting: (String) -> Void
  /// Whether nobody wants the directory any more.
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

  /// - Throws: `LeaseError.held` and `.damaged`; `CheckpointError` when the directory cannot be written; `CancellationError`.
  func take() throws {
    while true {
      try LeaseRecord.checkKind(place)
      // Looked for first: on a full disk a new file would fail before it shows that there is one.
      if LeaseRecord.renewalTime(place) == nil, try create() { break }
      if try replace() { break }
    }
    removeLeftovers()
  }

  /// What processes that were killed were writing into the directory itself. Others that want it now write there as well, but nothing that
  /// takes them as long as the limit.
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
  /// - Returns: false when there is one of somebody else.
  func create() throws -> Bool {
    try make(place.path)
  }

  /// - Returns: false when the file is there and somebody else's.
  private func make(_ path: String) throws -> Bool {
    do {
      try record.write(to: path, replacing: false)
      return true
    } catch let error as CheckpointError {
      guard case .system(.create, _, EEXIST) = error else { throw error }
      // NFS repeats a `link` whose answer was lost, and then finds what it made itself.
      return (try? LeaseRecord.read(at: path))?.token == record.token
    }
  }

  /// - Returns: false when it is to be tried again.
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

  /// - Returns: false when somebody else is replacing the same lease.
  func reserve(_ reservation: String) throws -> Bool {
    try make(reservation)
  }

  /// Puts the reservation in the lease's place.
  ///
  /// Whoever counts a reservation as left behind removes it. So one that comes late renames nothing, or the next claimant's reservation,
  /// which then has the lease: whose record the lease holds has it, whoever put it there.
  ///
  /// - Returns: false when somebody else has the lease.
  func publish(_ reservation: String, replacing other: LeaseRecord?) throws -> Bool {
    // Somebody else may have replaced it between the look at it and the reservation.
    let present = try? LeaseRecord.read(place)
    guard present == other || present?.token == record.token else {
      if (try? LeaseRecord.read(at: reservation))?.token == record.token { unlink(reservation) }
      return false
    }
    let isMoved = present == other && rename(reservation, place.path) == 0
    guard isMoved || present != other || errno == ENOENT else {
      throw CheckpointError.system(.rename, path: place.path, code: errno)
    }
    // A holder that was only slow may write its lease once more; and one that somebody else replaced finds out by its next renewal.
    Thread.sleep(forTimeInterval: (isMoved ? times.settling : times.observation) / .seconds(1))
    guard try LeaseRecord.read(place)?.token == record.token else { return false }
    removeReservations()
    return true
  }

  /// Of leases before this one; those of claimants that are still at it are of no use to them any more.
  private func removeReservations() {
    for name in (try? Directory.names(in: place.directory.path)) ?? [] where name.hasPrefix(Self.reservationPrefix) {
      unlink(place.directory.appending(path: name).path)
    }
  }

  /// Waits until somebody else's reservation is a lease, or counts as left behind and is removed.
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

  /// Waits until the lease counts as left behind.
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
      throw CheckpointError.system(.read, path: path, code: errno)
    }
    return time
  }
}
