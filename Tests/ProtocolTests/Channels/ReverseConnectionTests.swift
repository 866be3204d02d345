import Dispatch
import Foundation
import Foundations
import Synchronization
import TestSupport
import Testing

@testable import Protocol

@Suite("Owners that listen", .waiting, .timeLimit(.minutes(10)), .serialized)
struct ReverseConnectionTests {
  @Test func aMessageAndItsAnswerKeepTheirFrames() throws {
    let site = try ReverseSite()
    let server = try site.server()
    let question: Message = [Data("header".utf8), Data(), pattern(5_000_000), pattern(1)]
    let received = try #require(try site.exchange(question, with: server))
    #expect(received.frames == question)
    #expect(received.peer.ownerKey == site.ownerKeys.ownerKey)
    let answer: Message = [Data("answer".utf8), pattern(5_000_000)]
    try server.send(answer, to: received.peer)
    #expect(try site.owner.receive(timeout: Site.patience) == answer)
  }

  @Test func anOwnerThatIsNotListedIsRefused() throws {
    let site = try ReverseSite()
    let server = try site.server(listed: [])
    var error: TransportError?
    let end = ContinuousClock.now + Site.patience
    while error == nil, ContinuousClock.now < end {
      _ = try server.receive(timeout: .milliseconds(20))
      error = failure { try site.owner.receive(timeout: .milliseconds(20)) }
    }
    #expect(error == .refused(endpoint: site.address, ownerKey: site.ownerKeys.ownerKey))
    #expect(site.refusals.waitFor(.keyNotListed)?.ownerKeyPrefix == site.ownerKeys.ownerKey.prefix)
    // Listed later, it is served by the same two ends.
    server.authorize([site.ownerKeys.ownerKey])
    #expect(try site.exchange(text("now"), with: server)?.frames == text("now"))
  }

  @Test func aServerThatIsNotPinnedIsRefused() throws {
    let site = try ReverseSite()
    let stranger = try site.server(keys: .generate())
    var error: TransportError?
    let end = ContinuousClock.now + Site.patience
    while error == nil, ContinuousClock.now < end {
      #expect(try stranger.receive(timeout: .milliseconds(20)) == nil)
      error = failure { try site.owner.receive(timeout: .milliseconds(20)) }
    }
    #expect(error == .strangersOnly(endpoint: site.address))
    #expect(error?.kind == .unreachable)
    #expect(!site.owner.isConnected)
    #expect(site.refusals.waitFor(.handshakeFailed)?.address == "127.0.0.1")
    // The right one is let in although the other keeps trying.
    let server = try site.server()
    #expect(try site.exchange(text("hello"), with: server)?.frames == text("hello"))
  }

  @Test func anOwnerRemovedFromTheListIsTold() throws {
    let site = try ReverseSite()
    let server = try site.server()
    let peer = try #require(try site.exchange(text("while listed"), with: server)?.peer)
    server.authorize([])
    try site.owner.send(text("after removal"))
    #expect(try server.receive(timeout: .milliseconds(500)) == nil)
    #expect(nextFailure(site.owner)?.kind == .refused)
    #expect(failure { try server.send(text("secret"), to: peer) } == .notAuthorized(peer.ownerKey))
    server.authorize([peer.ownerKey])
    let again = try #require(try site.exchange(text("listed again"), with: server))
    #expect(again.peer != peer)
  }

  @Test func aServerThatEndsIsNoticedOnceAndItsSuccessorServed() throws {
    let site = try ReverseSite()
    let first = try site.server()
    let peer = try #require(try site.exchange(text("first life"), with: first)?.peer)
    try first.send(text("stopping"), to: peer)
    first.close()
    pause(.milliseconds(200))
    #expect(try site.owner.receive(timeout: Site.patience) == text("stopping"))
    #expect(nextFailure(site.owner) == .peerGone(endpoint: site.address))
    #expect(!site.owner.isConnected)
    #expect(try site.owner.receive(timeout: .milliseconds(300)) == nil)
    for life in 0..<20 {
      let next = try site.server()
      #expect(try site.exchange(text("life \(life)"), with: next)?.frames == text("life \(life)"))
      next.close()
      #expect(nextFailure(site.owner) == .peerGone(endpoint: site.address))
    }
  }

  @Test func anOwnerThatEndsIsNoticedAndFoundAgainOnTheSamePort() throws {
    let site = try ReverseSite()
    let server = try site.server()
    let peer = try #require(try site.exchange(text("first life"), with: server)?.peer)
    try site.owner.send(text("last words"))
    site.owner.close()
    #expect(try server.receive(timeout: Site.patience)?.frames == text("last words"))
    for life in 0..<10 {
      let owner = try ZeroMQOwnerChannel(
        listen: site.address, ownerKeys: site.ownerKeys, serverKey: site.serverKeys.publicKey, options: site.options)
      let received = try #require(try site.exchange(text("life \(life)"), with: server, from: owner))
      #expect(received.frames == text("life \(life)"))
      #expect(received.peer != peer)
      #expect(failure { try server.send(text("too late"), to: peer) }?.kind == .unreachable)
      owner.close()
    }
  }

  @Test func aSilentNetworkIsNoticedByBothSidesAndNothingLostComesLater() throws {
    let site = try ReverseSite()
    let proxy = try #require(TCPProxy(target: site.port))
    defer { proxy.stop() }
    let server = try site.server(at: [proxy.endpoint])
    let peer = try #require(try site.exchange(text("hello"), with: server)?.peer)
    proxy.fallSilent()
    for number in 0..<10 { try site.owner.send(text("lost \(number)")) }
    #expect(nextFailure(site.owner) == .peerGone(endpoint: site.address))
    // What the proxy held already may still come out, before the end is noticed.
    while try server.receive(timeout: .seconds(2)) != nil {}
    #expect(failure { try server.send(text("are you there?"), to: peer) }?.kind == .unreachable)
    proxy.speakAgain()
    #expect(try site.exchange(text("after the loss"), with: server)?.frames == text("after the loss"))
    #expect(try server.receive(timeout: .milliseconds(300)) == nil)
  }

  /// Its successor comes before the loss of the first is known.
  @Test func oneServerAtATimeIsSpokenTo() throws {
    let site = try ReverseSite()
    let first = try site.server()
    #expect(try site.exchange(text("one"), with: first) != nil)
    let second = try site.server()
    #expect(try second.receive(timeout: .milliseconds(500)) == nil)
    for number in 0..<10 { try site.owner.send(text("for the first \(number)")) }
    for number in 0..<10 {
      #expect(try first.receive(timeout: Site.patience)?.frames == text("for the first \(number)"))
    }
    first.close()
    #expect(nextFailure(site.owner) == .peerGone(endpoint: site.address))
    #expect(try site.exchange(text("for the second"), with: second)?.frames == text("for the second"))
  }

  /// The second has arrived, but nobody has read that yet: its connection has room, and that of the first has none.
  @Test func aFullQueueIsWaitedForInSleepWhileAnotherServerConnects() throws {
    let site = try ReverseSite(sendTimeout: .seconds(2))
    let first = try site.server()
    #expect(try site.exchange(text("one"), with: first) != nil)
    let second = try site.server()
    #expect(try second.receive(timeout: .milliseconds(500)) == nil)
    // The first takes nothing any more: its queues fill, then the network's, then the owner's.
    let block: Message = [pattern(1 << 20)]
    var (error, used, sent) = (TransportError?.none, Duration.zero, 0)
    while error == nil, sent < 10_000 {
      let before = ownProcessorTime()
      error = failure { try site.owner.send(block) }
      used = ownProcessorTime() - before
      sent += 1
    }
    #expect(error?.kind == .unreachable)
    // It waited for 2 s, and looked 200 times a second; a loop that does not sleep takes all of them.
    #expect(used < .milliseconds(500))
    withExtendedLifetime((first, second)) {}
  }

  /// Of this thread.
  private func ownProcessorTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  @Test func aHostsNameEndsAtTheLastColon() {
    #expect(EndpointAddress.host(of: "tcp://owner.example.org:5571") == "owner.example.org")
    #expect(EndpointAddress.host(of: "tcp://[fd00::1]:5571") == "[fd00::1]")
  }

  @Test func ownersThatConnectAndOwnersThatListenAreServedTogether() throws {
    let site = try ReverseSite()
    let other = try ReverseSite()
    let third = try CurveKeyPair.generate()
    let server = try site.server(
      listed: [site.ownerKeys.ownerKey, third.ownerKey], bind: "tcp://127.0.0.1:0", at: [site.address, other.address])
    let connecting = try ZeroMQOwnerChannel(
      endpoint: server.boundEndpoint, ownerKeys: third, serverKey: site.serverKeys.publicKey, options: site.options)
    let listened = try #require(try site.exchange(text("listening"), with: server))
    try connecting.send(text("connecting"))
    let connected = try #require(try server.receive(timeout: Site.patience))
    #expect(listened.peer.ownerKey == site.ownerKeys.ownerKey)
    #expect(connected.peer.ownerKey == third.ownerKey)
    try server.send(text("to the third"), to: connected.peer)
    try server.send(text("to the first"), to: listened.peer)
    #expect(try connecting.receive(timeout: Site.patience) == text("to the third"))
    #expect(try site.owner.receive(timeout: Site.patience) == text("to the first"))
    // The other pins another server.
    #expect(!other.owner.isConnected)
  }

  @Test func anAddressInUse() throws {
    let site = try ReverseSite()
    let error = failure { try ReverseSite(listen: site.address) }
    guard case .cannotBind(site.address, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(error?.kind == .usage)
  }

  /// .invalid is never resolved (RFC 6761), and 192.0.2.0/24 is nobody's (RFC 5737).
  @Test(arguments: ["server.invalid", "192.0.2.1"]) func aHostThatIsNotThisMachine(_ host: String) {
    let error = #expect(throws: TransportError.self) { try ReverseSite(listen: "tcp://\(host):5570") }
    #expect(error == .notAnAddressHere(endpoint: "tcp://\(host):5570"))
    #expect(error?.kind == .usage)
    #expect(error?.description.contains("'\(host)' cannot be resolved, or is no address of this machine") == true)
  }

  @Test(arguments: ["localhost", "tcp://127.0.0.1", "ipc:///tmp/x", "tcp://:1"])
  func anAddressThatIsNone(_ address: String) throws {
    let keys = try CurveKeyPair.generate()
    #expect(failure { try ReverseSite(listen: address) } == .invalidEndpoint(address))
    #expect(
      failure {
        try ZeroMQServerEndpoint(
          bind: nil, connect: [address], keys: keys, authorized: AuthorizedKeys([]), options: Site.quickOptions)
      } == .invalidEndpoint(address))
  }

  @Test func randomBytesAtTheListeningPortDoNotDisturb() throws {
    let site = try ReverseSite()
    let server = try site.server()
    for number in 0..<20 {
      let raw = try #require(RawConnection(port: site.port))
      raw.send((0..<200).map { UInt8(truncatingIfNeeded: $0 &* (number + 3)) })
    }
    let received = try #require(try site.exchange(text("hello"), with: server))
    try server.send(text("answer"), to: received.peer)
    #expect(try site.owner.receive(timeout: Site.patience) == text("answer"))
  }
}

@Suite(.waiting, .timeLimit(.minutes(10))) struct HostLookupTests {
  /// What is said of an address within some seconds.
  private func problem(with endpoint: String, within seconds: Double) -> String? {
    let found = Mutex<String?>(nil)
    let told = DispatchSemaphore(value: 0)
    HostLookup.check(endpoint) { problem in
      found.withLock { $0 = problem }
      told.signal()
    }
    _ = told.wait(timeout: .now() + seconds)
    return found.withLock(\.self)
  }

  /// `.invalid` is a name that never exists (RFC 6761, section 6.4).
  @Test func aNameThatDoesNotExistIsNamed() {
    #expect(problem(with: "tcp://server.invalid:5570", within: 40)?.contains("'server.invalid' is not known") == true)
  }

  @Test(arguments: ["tcp://127.0.0.1:5570", "tcp://[::1]:5570", "tcp://localhost:5570"])
  func anAddressOfThisMachineIsNoProblem(_ endpoint: String) {
    #expect(problem(with: endpoint, within: 0.5) == nil)
  }
}
