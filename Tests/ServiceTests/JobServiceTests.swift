import Files
import Foundation
import Foundations
import TestSupport
import Testing

@testable import Protocol
@testable import Service

/// A server of the smallest role on a thread of its own.
private final class CounterServer {
  let network = InProcessNetwork()
  let store: URL
  let owners: ServedOwners
  private let stop = StopSwitch()
  private let ended = MonotonicLatch()
  private let endpoint: InProcessServerEndpoint

  init(store: URL, owners: ServedOwners = ServedOwners(), beforeDiskWork: @escaping @Sendable () -> Void = {}) throws {
    self.store = store
    self.owners = owners
    endpoint = network.makeServerEndpoint()
    var configuration = ServiceConfiguration(store: store)
    configuration.owners = owners
    configuration.eventLog = try EventLog(store: store, program: CounterHandler.program)
    configuration.beforeDiskWork = beforeDiskWork
    let thread = Thread { [configuration, endpoint, stop, ended] in
      let service = try? JobService(
        CounterHandler(), endpoint: endpoint, configuration: configuration, stop: stop, observe: { _ in })
      try? service?.run()
      ended.open()
    }
    thread.start()
  }

  func shutDown() {
    stop.request()
    ended.wait()
    endpoint.close()
  }

  /// What the event log says happened, in order.
  var events: [String] {
    get throws {
      try LineLog.lines(of: store.appending(path: EventLog.fileName).path).map {
        try JSONDecoder().decode(EventLogLine.self, from: Data($0.utf8)).event
      }
    }
  }
}

/// An owner of counters.
private struct CounterOwner {
  enum Answer: Equatable {
    case value(Int)
    case conversation(ConversationAnswer)
    case welcome
  }

  private let channel: any OwnerChannel
  let job: JobID

  init(_ server: CounterServer, key: OwnerKey, job: JobID = .random()) {
    channel = server.network.connect(key)
    self.job = job
  }

  func send(_ request: CounterRequest) throws {
    try channel.send(request.envelope(for: job).frames)
  }

  func send(_ request: ConversationRequest) throws {
    try channel.send(request.envelope(for: job).frames)
  }

  func answer() throws -> Answer {
    while true {
      guard let frames = try channel.receive(timeout: .seconds(10)) else { continue }
      var envelope = try OpenedEnvelope(frames, limits: WireLimits())
      if let answer = try ConversationAnswer(from: &envelope) { return .conversation(answer) }
      switch try CounterAnswer(from: &envelope) {
      case .welcome: return .welcome
      case .value(let value): return .value(value)
      }
    }
  }
}

/// The service with a role of its own, which knows nothing of training.
@Suite(.timeLimit(.minutes(2))) struct JobServiceTests {
  private let folder: TemporaryDirectory
  private let store: URL
  private let key: OwnerKey

  init() throws {
    folder = try TemporaryDirectory()
    store = folder.url.appending(path: "store")
    key = try CurveKeyPair.generate().ownerKey
  }

  @Test func aJobAnswersAndOutlivesItsServer() throws {
    let server = try CounterServer(store: store)
    let owner = CounterOwner(server, key: key)
    try owner.send(.hello(software: "test"))
    #expect(try owner.answer() == .welcome)
    try owner.send(.submit(CounterJob(name: "a", start: 100)))
    #expect(try owner.answer() == .value(100))
    try owner.send(.add(5))
    #expect(try owner.answer() == .value(105))
    server.shutDown()
    let next = try CounterServer(store: store)
    defer { next.shutDown() }
    let again = CounterOwner(next, key: key, job: owner.job)
    try again.send(.submit(CounterJob(name: "a", start: 100)))
    #expect(try again.answer() == .value(105))
    try again.send(.release)
    #expect(try again.answer() == .conversation(.removed))
    #expect(
      try next.events == [
        "started", "connection_admitted", "submitted", "stopped", "started", "resumed", "released",
      ])
    #expect(!FileManager.default.fileExists(atPath: store.appending(path: "jobs/\(owner.job)").path))
  }

  /// Messages that come while the disk is busy wait, and are answered in their order.
  @Test func messagesOfAJobWaitForItsDiskWork() throws {
    let server = try CounterServer(store: store, beforeDiskWork: { Thread.sleep(forTimeInterval: 0.02) })
    defer { server.shutDown() }
    let owner = CounterOwner(server, key: key)
    try owner.send(.submit(CounterJob(name: "a", start: 0)))
    for number in 1...20 { try owner.send(.add(number)) }
    for number in 0...20 { #expect(try owner.answer() == .value(number * (number + 1) / 2)) }
  }

  @Test func anotherOwnersJobIsNoneAtAll() throws {
    let server = try CounterServer(store: store)
    defer { server.shutDown() }
    let owner = CounterOwner(server, key: key)
    try owner.send(.submit(CounterJob(name: "a", start: 1)))
    #expect(try owner.answer() == .value(1))
    let other = CounterOwner(server, key: try CurveKeyPair.generate().ownerKey, job: owner.job)
    let refusal = CounterOwner.Answer.conversation(
      .refused(kind: .refused, reason: "this counter has no job of this id for this owner"))
    for request in [CounterRequest.submit(CounterJob(name: "a", start: 1)), .add(1)] {
      try other.send(request)
      #expect(try other.answer() == refusal)
    }
    for request in [ConversationRequest.status, .cancel, .release] {
      try other.send(request)
      #expect(try other.answer() == refusal)
    }
    try owner.send(.add(1))
    #expect(try owner.answer() == .value(2))
  }

  @Test(arguments: [(OwnerLimits(disk: 10_000), "(disk=)"), (OwnerLimits(queue: 2), "(queue=2)")])
  func limitsOfDiskAndQueueHoldForEveryRole(_ limits: OwnerLimits, _ limit: String) throws {
    let server = try CounterServer(store: store, owners: ServedOwners(AuthorizedKeys([key: limits])))
    defer { server.shutDown() }
    for _ in 0..<2 {
      let owner = CounterOwner(server, key: key)
      try owner.send(.submit(CounterJob(name: "a", start: 1)))
      #expect(try owner.answer() == .value(1))
    }
    let third = CounterOwner(server, key: key)
    try third.send(.submit(CounterJob(name: "a", start: 1)))
    guard case .conversation(.refused(.refused, let reason)) = try third.answer() else {
      Issue.record("a third job was taken")
      return
    }
    #expect(reason.contains(limit))
  }

  @Test func anOwnerWhoIsNotListedIsRefused() throws {
    let server = try CounterServer(store: store, owners: ServedOwners(AuthorizedKeys([key])))
    defer { server.shutDown() }
    let stranger = CounterOwner(server, key: try CurveKeyPair.generate().ownerKey)
    try stranger.send(.hello(software: "test"))
    #expect(
      try stranger.answer()
        == .conversation(
          .refused(kind: .refused, reason: "this owner is not listed here; ask the counter's operator")))
  }
}
