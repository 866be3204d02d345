import Foundations
import Foundation
import Synchronization
import Testing
import TestSupport

@testable import Files
@testable import Service
@testable import TrainerRole

@Suite("Whose store it is", .waiting, .timeLimit(.minutes(10)))
struct StoreLeaseTests {
  private let folder: TemporaryDirectory
  private let store: URL

  init() throws {
    folder = try TemporaryDirectory()
    store = folder.url.appending(path: "store")
  }

  private var place: LeasePlace { StoreLease.place(store, of: "trainer") }

  /// A tenth of a second and one second.
  private static var quick: LeaseTimes {
    var times = LeaseTimes()
    times.interval = .milliseconds(100)
    times.limit = .seconds(1)
    return times
  }

  /// Settled after a microsecond.
  private static var slowDisk: LeaseTimes {
    var times = LeaseTimes()
    times.interval = .microseconds(10)
    times.limit = .seconds(1)
    return times
  }

  /// A process of another machine, which cannot be looked up.
  private static let elsewhere = ProcessIdentity(
    host: "elsewhere", pid: 1, boot: "another boot", namespace: "pid:[1]", startTicks: 1)

  private func take(
    _ holder: ProcessIdentity = .own, times: LeaseTimes = Self.quick, waited: Flag? = nil, lost: Flag? = nil
  ) throws -> StoreLease {
    try StoreLease(
      store: store, program: "trainer", software: "test", holder: holder, times: times,
      waiting: { _ in waited?.raise() }, onLoss: { _ in lost?.raise() })
  }

  private func refusal(_ holder: ProcessIdentity = .own) -> (any Failure)? {
    do {
      _ = try take(holder)
      return nil
    } catch {
      return error as? any Failure
    }
  }

  private func setRenewalTime(_ secondsFromNow: Int) {
    let time = timespec(tv_sec: time_t(Date().timeIntervalSince1970) + secondsFromNow, tv_nsec: 0)
    var times = [time, time]
    utimensat(AT_FDCWD, place.path, &times, 0)
  }

  /// What a trainer elsewhere leaves that is killed.
  private func leaveLease(of holder: ProcessIdentity) throws {
    try Directory.create(store.path)
    try LeaseRecord(holder: holder, token: 7, beat: 3).write(place)
  }

  @Test func aStoreAnotherLiveTrainerHolds() throws {
    let lease = try take()
    let error = try #require(refusal())
    #expect(
      error as? StoreError
        == .held(path: store.path, by: "process \(getpid()) on \(ProcessIdentity.hostName)", program: "trainer"))
    #expect(error.kind == .usage)
    let attributes = try FileManager.default.attributesOfItem(atPath: place.path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
    lease.release()
    #expect(try LeaseRecord.read(place) == nil)
    let next = try take()
    next.release()
  }

  @Test func aStoreALiveTrainerOnAnotherMachineHolds() throws {
    let lease = try take(Self.elsewhere)
    #expect(refusal() as? StoreError == .held(path: store.path, by: "process 1 on elsewhere", program: "trainer"))
    withExtendedLifetime(lease) {}
  }

  @Test func aStoreOfATrainerThatWasKilledHereIsTakenAtOnce() throws {
    let own = ProcessIdentity.own
    // A number given again: another process has it now.
    let gone = ProcessIdentity(
      host: own.host, pid: own.pid, boot: own.boot, namespace: own.namespace, startTicks: own.startTicks &+ 1)
    try leaveLease(of: gone)
    let waited = Flag()
    let lease = try take(waited: waited)
    #expect(!waited.isRaised)
    #expect(try LeaseRecord.read(place)?.holder == own)
    withExtendedLifetime(lease) {}
  }

  @Test func aStoreOfATrainerThatWasKilledElsewhereIsTakenWhenNobodyRenewsIt() throws {
    try leaveLease(of: Self.elsewhere)
    let waited = Flag()
    let start = ContinuousClock.now
    let lease = try take(waited: waited)
    #expect(waited.isRaised)
    // It was renewed just before, so that nearly the whole limit passes.
    #expect(ContinuousClock.now - start > .milliseconds(700))
    withExtendedLifetime(lease) {}
  }

  @Test(arguments: [-1_000_000, 1_000_000])
  func aClockThatJumps(seconds: Int) throws {
    let lease = try take(Self.elsewhere)
    // Whatever the date says, a lease that is renewed is held.
    setRenewalTime(seconds)
    #expect(refusal() as? StoreError == .held(path: store.path, by: "process 1 on elsewhere", program: "trainer"))
    lease.release()
    // And one that is not is taken within the limit.
    try leaveLease(of: Self.elsewhere)
    setRenewalTime(seconds)
    let start = ContinuousClock.now
    let next = try take()
    // The limit of a second, and what a busy machine adds.
    #expect(ContinuousClock.now - start < .seconds(10))
    withExtendedLifetime(next) {}
  }

  @Test func aTrainerWhoseStoreWasTakenOverIsTold() throws {
    let lost = Flag()
    let lease = try take(Self.elsewhere, lost: lost)
    try leaveLease(of: .own)
    let end = ContinuousClock.now + .seconds(120)
    while !lost.isRaised, ContinuousClock.now < end { Thread.sleep(forTimeInterval: 0.02) }
    #expect(lost.isRaised)
    lease.release()
    // The other's lease stays.
    #expect(try LeaseRecord.read(place)?.token == 7)
  }

  @Test func aLeaseThatCannotBeReadIsNotWrittenOver() throws {
    let lost = Flag()
    let lease = try take(lost: lost)
    // Perhaps it is another trainer's, and a disk's or a network's fault.
    let path = place.path
    try Data("{".utf8).write(to: URL(filePath: path))
    // A renewal that had read it before may still come.
    Thread.sleep(forTimeInterval: 0.3)
    try Data("{".utf8).write(to: URL(filePath: path))
    // Ten renewals.
    Thread.sleep(forTimeInterval: 1)
    #expect(try Data(contentsOf: URL(filePath: path)) == Data("{".utf8))
    #expect(!lost.isRaised)
    // It goes on looking.
    try leaveLease(of: Self.elsewhere)
    let end = ContinuousClock.now + .seconds(120)
    while !lost.isRaised, ContinuousClock.now < end { Thread.sleep(forTimeInterval: 0.02) }
    #expect(lost.isRaised)
    withExtendedLifetime(lease) {}
  }

  @Test func whatAKilledTrainerWasWritingIsRemovedButNothingThatIsBeingWritten() throws {
    try Directory.create(store.path)
    let (old, new, clock, other) = (
      ".writing-0000000000000001", ".writing-0000000000000002", ".clock-7", ".writing-is-fun"
    )
    for name in [old, new, clock, other] { try Data().write(to: store.appending(path: name)) }
    // Longer ago than the limit of a second.
    let then = timespec(tv_sec: time_t(Date().timeIntervalSince1970) - 5, tv_nsec: 0)
    for name in [old, clock, other] { utimensat(AT_FDCWD, store.appending(path: name).path, [then, then], 0) }
    let lease = try take()
    let names = try Directory.names(in: store.path)
    #expect(!names.contains(old) && !names.contains(clock))
    #expect(names.contains(new) && names.contains(other))
    withExtendedLifetime(lease) {}
  }

  /// The second: every write takes longer than it takes to settle, as on a network file system.
  @Test(arguments: [Self.quick, Self.slowDisk]) func ofManyTrainersThatStartAtOnceOneGetsTheStore(
    _ times: LeaseTimes
  ) throws {
    try leaveLease(of: Self.elsewhere)
    let leases = Mutex<[StoreLease]>([])
    DispatchQueue.concurrentPerform(iterations: 6) { number in
      let holder = ProcessIdentity(
        host: "machine \(number)", pid: 1, boot: "boot \(number)", namespace: "pid:[1]", startTicks: 1)
      if let lease = try? take(holder, times: times) { leases.withLock { $0.append(lease) } }
    }
    #expect(leases.withLock { $0.count } == 1)
  }

  @Test func whatIsNoFileInTheLeasesPlaceIsSaidAtOnce() throws {
    try Directory.create(store.path)
    let path = place.path
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/nonexistent/lease")
    #expect(refusal() as? StoreError == .damaged(path: path))
    unlink(path)
    try Directory.create(path)
    #expect(refusal() as? StoreError == .damaged(path: path))
  }

  @Test func whoeverWaitsMayGiveUp() throws {
    try leaveLease(of: Self.elsewhere)
    let stop = Flag()
    #expect(throws: CancellationError.self) {
      _ = try StoreLease(
        store: store, program: "trainer", software: "test", times: LeaseTimes(), waiting: { _ in stop.raise() },
        isCancelled: { stop.isRaised }, onLoss: { _ in })
    }
    #expect(try LeaseRecord.read(place)?.holder == Self.elsewhere)
  }

  private func claim(_ token: UInt64, _ holder: ProcessIdentity = .own) -> LeaseClaim {
    LeaseClaim(
      place: place, times: Self.quick, record: LeaseRecord(holder: holder, token: token, beat: 0), waiting: { _ in })
  }

  private var reservations: [String] {
    get throws { try Directory.names(in: store.path).filter { $0.hasPrefix(".lease-after-") } }
  }

  @Test func onlyOneClaimantMayReplaceADeadLease() throws {
    try leaveLease(of: Self.elsewhere)
    let dead = try LeaseRecord.read(place)
    let (one, other) = (claim(1), claim(2))
    #expect(try one.reserve(one.reservationPath(for: dead)))
    #expect(try !other.reserve(other.reservationPath(for: dead)))
    #expect(try one.publish(one.reservationPath(for: dead), replacing: dead))
    // Comes to it only now.
    #expect(try other.reserve(other.reservationPath(for: dead)))
    #expect(try !other.publish(other.reservationPath(for: dead), replacing: dead))
    #expect(try LeaseRecord.read(place)?.token == 1)
    #expect(try reservations == [])
  }

  @Test func aClaimantWhoseReservationWasRemovedAsLeftBehindDoesNotGetTheStore() throws {
    try leaveLease(of: Self.elsewhere)
    let dead = try LeaseRecord.read(place)
    let (late, next) = (claim(1), claim(2))
    let reservation = late.reservationPath(for: dead)
    #expect(try late.reserve(reservation))
    unlink(reservation)
    #expect(try next.reserve(reservation))
    // It renames the other's.
    #expect(try !late.publish(reservation, replacing: dead))
    #expect(try next.publish(reservation, replacing: dead))
    #expect(try LeaseRecord.read(place)?.token == 2)
  }

  /// Killed between its two steps, here or elsewhere.
  @Test(arguments: [true, false]) func aReservationLeftBehindIsNoObstacle(_ isHere: Bool) throws {
    let own = ProcessIdentity.own
    let gone = ProcessIdentity(
      host: own.host, pid: own.pid, boot: own.boot, namespace: own.namespace, startTicks: own.startTicks &+ 1)
    try leaveLease(of: gone)
    let left = claim(5, isHere ? gone : Self.elsewhere)
    #expect(try left.reserve(left.reservationPath(for: LeaseRecord.read(place))))
    let lease = try take()
    #expect(try reservations == [])
    #expect(refusal() != nil)
    withExtendedLifetime(lease) {}
  }

  @Test func aReservationOfALiveTrainerHoldsTheStore() throws {
    let own = ProcessIdentity.own
    try leaveLease(
      of: ProcessIdentity(
        host: own.host, pid: own.pid, boot: own.boot, namespace: own.namespace, startTicks: own.startTicks &+ 1))
    let other = claim(5)
    #expect(try other.reserve(other.reservationPath(for: LeaseRecord.read(place))))
    #expect(
      refusal() as? StoreError == .held(path: store.path, by: "process \(getpid()) on \(own.host)", program: "trainer"))
  }

  /// The answer to a `link` was lost, so that NFS made it again and found it there.
  @Test func aLeaseThatIsItsOwnAlreadyIsNotAnothers() throws {
    try leaveLease(of: .own)
    let claim = claim(7)
    #expect(try claim.create())
    try claim.take()
    #expect(try LeaseRecord.read(place)?.token == 7)
  }

  @Test func aStoreWrittenByAnotherVersion() throws {
    try Directory.create(store.path)
    try Data(#"{"format": 9, "software": "trainer 7"}"#.utf8).write(to: store.appending(path: "store.json"))
    let error = try #require(refusal())
    #expect(error as? StoreError == .otherVersion(path: store.path, format: "9", expected: "2"))
    #expect(error.kind == .inputData)
    #expect(throws: StoreError.otherVersion(path: store.path, format: "9", expected: "2")) {
      try StoreSurvey(store: store).report()
    }
  }

  @Test func aMarkThatIsDamaged() throws {
    try Directory.create(store.path)
    try Data("{".utf8).write(to: store.appending(path: "store.json"))
    #expect(refusal() as? StoreError == .damaged(path: store.appending(path: "store.json").path))
  }

  /// A store of form 1 is marked anew: from then on a trainer that knows nothing later leaves it alone.
  @Test func aStoreOfBeforeIsTakenAndMarkedAnew() throws {
    let mark = store.appending(path: "store.json")
    try Directory.create(store.path)
    try Data(#"{"format": 1, "software": "trainer 0.1"}"#.utf8).write(to: mark)
    #expect(try StoreFormat.check(store, of: "trainer"))
    let lease = try take()
    defer { lease.release() }
    let object = try JSONSerialization.jsonObject(with: try Data(contentsOf: mark)) as? [String: Any]
    #expect(object?["format"] as? Int == 2)
    #expect(throws: StoreError.self) { try StoreFormat.check(store, of: "aggregator") }
  }

  /// Every container's trainer may be process 1.
  @Test func anAddressThatATrainerOfAnotherHostLeftIsNotTold() throws {
    let lease = try take()
    try Directory.create(store.appending(path: "jobs").path)
    let own = EndpointRecord(listening: "tcp://10.1.2.3:5570", connecting: [], publicKey: "key")
    try own.write(to: store)
    #expect(try StoreSurvey(store: store).report().trainer?.endpoints == ["tcp://10.1.2.3:5570"])
    let path = store.appending(path: "endpoint.json")
    let text = try String(contentsOf: path, encoding: .utf8)
    try text.replacing("\"\(own.host)\"", with: "\"another-container\"")
      .write(to: path, atomically: true, encoding: .utf8)
    let trainer = try #require(try StoreSurvey(store: store).report().trainer)
    #expect(trainer.endpoints == [] && trainer.publicKey == nil)
    withExtendedLifetime(lease) {}
  }

  @Test func theAddressOfAllInterfacesIsWrittenAsTheMachinesName() {
    #expect(EndpointRecord.reachable("tcp://0.0.0.0:5570", host: "node7") == "tcp://node7:5570")
    #expect(EndpointRecord.reachable("tcp://[::]:5570", host: "node7") == "tcp://node7:5570")
    #expect(EndpointRecord.reachable("tcp://10.1.2.3:5570", host: "node7") == "tcp://10.1.2.3:5570")
  }

  @Test func aMarkThatIsNoFileOfOurs() throws {
    try Directory.create(store.path)
    let path = store.appending(path: "store.json").path
    #expect(mkfifo(path, 0o600) == 0)
    #expect(refusal() as? FileError == .file(path: path, .notRegular))
    #expect(unlink(path) == 0)
    try Data().write(to: URL(filePath: path))
    #expect(truncate(path, 50_000_000) == 0)
    #expect(refusal() as? FileError == .file(path: path, .tooLong(limit: 1 << 20)))
  }

  @Test func aDirectoryWhereTheAddressShouldBe() throws {
    let path = store.appending(path: "endpoint.json")
    try Directory.create(path.path)
    let error = #expect(throws: FileError.self) {
      try EndpointRecord(listening: nil, connecting: [], publicKey: "key").write(to: store)
    }
    #expect(error == .file(path: path.path, .notRegular))
    #expect(error?.kind == .inputData)
  }
}
