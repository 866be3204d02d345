import Foundations
import Foundation
import Testing
import TestSupport

@testable import Protocol

@Suite("Peers that go", .waiting, .timeLimit(.minutes(10)), .serialized)
struct ConnectionLossTests {
  @Test func aServerThatEndsIsNoticedOnceAndFoundAgainOnTheSamePort() throws {
    let site = try Site()
    let owner = try site.owner()
    try owner.send(text("first life"))
    let firstPeer = try #require(try site.endpoint.receive(timeout: Site.patience)?.peer)
    site.endpoint.close()
    #expect(nextFailure(owner) == .peerGone(endpoint: site.endpoint.boundEndpoint))
    #expect(!owner.isConnected)
    // Told once: from now on silence until there is a server again.
    #expect(try owner.receive(timeout: .milliseconds(300)) == nil)

    let restarted = try ZeroMQServerEndpoint(
      bind: site.endpoint.boundEndpoint, keys: site.serverKeys,
      authorized: AuthorizedKeys([site.ownerKeys[0].ownerKey]), options: site.options)
    try owner.send(text("second life"))
    let received = try #require(try restarted.receive(timeout: Site.patience))
    #expect(received.frames == text("second life"))
    #expect(received.peer != firstPeer)
    #expect(received.peer.ownerKey == firstPeer.ownerKey)
  }

  /// The owner gives up one socket after another here, each with events of libzmq still to come.
  @Test func aServerThatEndsAndStartsManyTimesIsFoundAgain() throws {
    let site = try Site()
    let owner = try site.owner()
    site.endpoint.close()
    for life in 0..<60 {
      let server = try ZeroMQServerEndpoint(
        bind: site.endpoint.boundEndpoint, keys: site.serverKeys,
        authorized: AuthorizedKeys([site.ownerKeys[0].ownerKey]), options: site.options)
      defer { server.close() }
      // Every third is gone again in the middle of a handshake.
      if life % 3 == 2 {
        _ = try? owner.receive(timeout: .milliseconds(life % 7))
        continue
      }
      let end = ContinuousClock.now + Site.patience
      while !owner.isConnected, ContinuousClock.now < end { _ = try? owner.receive(timeout: .milliseconds(20)) }
      try #require(owner.isConnected, "life \(life)")
      try? owner.send(text("hello"))
    }
  }

  @Test func theLastWordsOfAServerThatEndsAreDelivered() throws {
    let site = try Site()
    let owner = try site.owner()
    try owner.send(text("hello"))
    let peer = try #require(try site.endpoint.receive(timeout: Site.patience)?.peer)
    try site.endpoint.send(text("stopping"), to: peer)
    site.endpoint.close()
    pause(.milliseconds(100))
    #expect(try owner.receive(timeout: Site.patience) == text("stopping"))
    #expect(nextFailure(owner) == .peerGone(endpoint: site.endpoint.boundEndpoint))
  }

  @Test func nothingSentBeforeALossIsDeliveredAfterIt() throws {
    let site = try Site()
    let proxy = try #require(TCPProxy(target: site.port))
    defer { proxy.stop() }
    let owner = try site.owner(at: proxy.endpoint)
    try owner.send(text("hello"))
    #expect(try site.endpoint.receive(timeout: Site.patience) != nil)
    proxy.fallSilent()
    for number in 0..<10 { try owner.send(text("lost \(number)")) }
    #expect(nextFailure(owner) == .peerGone(endpoint: proxy.endpoint))
    proxy.speakAgain()
    try owner.send(text("after the loss"))
    var received: [Message] = []
    while let message = try site.endpoint.receive(timeout: received.isEmpty ? Site.patience : .milliseconds(300)) {
      received.append(message.frames)
      if message.frames == text("after the loss") { break }
    }
    // The bytes under way at the loss may still come out of the network; nothing of them may come after the new ones.
    #expect(received.last == text("after the loss"))
    #expect(try site.endpoint.receive(timeout: .milliseconds(300)) == nil)
  }

  @Test func aSilentNetworkIsNoticedByTheOwnerWithinTheHeartbeatTime() throws {
    let site = try Site()
    let proxy = try #require(TCPProxy(target: site.port))
    defer { proxy.stop() }
    let owner = try site.owner(at: proxy.endpoint)
    try owner.send(text("hello"))
    #expect(try site.endpoint.receive(timeout: Site.patience) != nil)
    // Quiet but answering heartbeats for longer than their timeout: not a loss.
    #expect(try owner.receive(timeout: .seconds(2)) == nil)
    let start = ContinuousClock.now
    proxy.fallSilent()
    #expect(nextFailure(owner) == .peerGone(endpoint: proxy.endpoint))
    // One interval until the next probe and the time for its answer are 1 s here; the rest is a busy machine's.
    #expect(ContinuousClock.now - start < .seconds(4))
  }

  @Test func aSilentNetworkIsNoticedByTheServerWithinTheHeartbeatTime() throws {
    let site = try Site()
    let proxy = try #require(TCPProxy(target: site.port))
    defer { proxy.stop() }
    let owner = try site.owner(at: proxy.endpoint)
    try owner.send(text("hello"))
    let peer = try #require(try site.endpoint.receive(timeout: Site.patience)?.peer)
    let start = ContinuousClock.now
    proxy.fallSilent()
    var error: TransportError?
    while error == nil, ContinuousClock.now - start < Site.patience {
      error = failure { try site.endpoint.send(text("are you there?"), to: peer) }
      pause(.milliseconds(100))
    }
    #expect(error == .unreachable(peer: "the owner \(peer)"))
    // As above.
    #expect(ContinuousClock.now - start < .seconds(4))
  }

  @Test func aFrameThatTakesLongerThanTheHeartbeatTimeArrives() throws {
    var options = Site.quickOptions
    options.pieceBytes = 64 << 10
    let site = try Site(options: options)
    // 1 MiB/s: a piece takes 1/16 s, the frame 3 s, which is four times the heartbeat timeout.
    let proxy = try #require(TCPProxy(target: site.port, bytesPerSecond: 1 << 20))
    defer { proxy.stop() }
    let owner = try site.owner(at: proxy.endpoint)
    let frame = pattern(3 << 20)
    try owner.send([frame])
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == [frame])
    #expect(try owner.receive(timeout: .zero) == nil)
  }

  @Test func sendingToAVanishedPeerFailsAtOnce() throws {
    let site = try Site()
    let owner = try site.owner()
    try owner.send(text("hello"))
    let peer = try #require(try site.endpoint.receive(timeout: Site.patience)?.peer)
    owner.close()
    var error: TransportError?
    let end = ContinuousClock.now + Site.patience
    var longest: Duration = .zero
    while error == nil, ContinuousClock.now < end {
      let start = ContinuousClock.now
      error = failure { try site.endpoint.send(text("are you there?"), to: peer) }
      longest = max(longest, ContinuousClock.now - start)
      pause(.milliseconds(20))
    }
    #expect(error?.kind == .unreachable)
    // A send that waited for anything would wait for heartbeats or a timeout: 0.75 s at least.
    #expect(longest < .milliseconds(500))
  }

  @Test func sendingToAPeerThatDoesNotDrainFailsInsteadOfWaiting() throws {
    var options = Site.quickOptions
    options.sendQueueMessages = 4
    options.receiveQueueMessages = 4
    // Long, so that the full queue is met before the stopped heartbeats end the connection.
    options.heartbeatTimeout = .seconds(30)
    let site = try Site(options: options)
    let owner = try site.owner()
    try owner.send(text("hello"))
    let peer = try #require(try site.endpoint.receive(timeout: Site.patience)?.peer)
    let frame = pattern(1 << 20)
    var sent = 0
    var error: TransportError?
    while error == nil, sent < 1_000 {
      error = failure { try site.endpoint.send([frame], to: peer) }
      if error == nil { sent += 1 }
    }
    #expect(error == .unreachable(peer: "the owner \(peer)"))
    #expect(sent >= 4)
    // What was accepted arrives, and then there is room again.
    for _ in 0..<sent { #expect(try owner.receive(timeout: Site.patience) == [frame]) }
    try site.endpoint.send(text("room again"), to: peer)
    #expect(try owner.receive(timeout: Site.patience) == text("room again"))
  }

  @Test func anOwnerSendThatFindsNoRoomGivesUpAfterTheStatedTime() throws {
    var options = Site.quickOptions
    options.sendQueueMessages = 2
    options.receiveQueueMessages = 2
    options.heartbeatTimeout = .seconds(30)
    options.sendTimeout = .milliseconds(400)
    let site = try Site(options: options)
    let owner = try site.owner()
    var error: TransportError?
    var start = ContinuousClock.now
    for _ in 0..<1_000 where error == nil {
      start = ContinuousClock.now
      error = failure { try owner.send([pattern(1 << 20)]) }
    }
    #expect(error == .unreachable(peer: "the server at \(site.endpoint.boundEndpoint)"))
    #expect(ContinuousClock.now - start >= .milliseconds(400))
  }

  @Test func aServerThatIsNotThereIsUnreachable() throws {
    let site = try Site()
    let address = site.endpoint.boundEndpoint
    site.endpoint.close()
    var options = site.options
    options.sendTimeout = .milliseconds(300)
    let owner = try site.owner(at: address, options: options)
    #expect(try owner.receive(timeout: .milliseconds(300)) == nil)
    let error = failure { try owner.send(text("hello")) }
    #expect(error == .unreachable(peer: "the server at \(address)"))
    #expect(error?.kind == .unreachable)
  }

  @Test func wakeEndsAReceiveOfTheServerAtOnce() throws {
    let site = try Site()
    let endpoint = site.endpoint
    Thread {
      pause(.milliseconds(100))
      endpoint.wake()
    }.start()
    let start = ContinuousClock.now
    #expect(try endpoint.receive(timeout: Site.patience) == nil)
    #expect(ContinuousClock.now - start < .seconds(5))
    // One that comes before the receive counts too, and only once.
    endpoint.wake()
    #expect(try endpoint.receive(timeout: Site.patience) == nil)
    let second = ContinuousClock.now
    #expect(try endpoint.receive(timeout: .milliseconds(200)) == nil)
    #expect(ContinuousClock.now - second >= .milliseconds(200))
  }

  @Test func wakeEndsAReceiveOfTheOwnerAtOnce() throws {
    let site = try Site()
    let owner = try site.owner()
    Thread {
      pause(.milliseconds(100))
      owner.wake()
    }.start()
    let start = ContinuousClock.now
    #expect(try owner.receive(timeout: Site.patience) == nil)
    #expect(ContinuousClock.now - start < .seconds(5))
  }

  @Test func aSecondThreadIsToldInsteadOfDisturbingTheFirst() throws {
    let site = try Site()
    let endpoint = site.endpoint
    let inside = DispatchSemaphore(value: 0)
    let done = DispatchSemaphore(value: 0)
    Thread {
      inside.signal()
      _ = try? endpoint.receive(timeout: Site.patience)
      done.signal()
    }.start()
    inside.wait()
    pause(.milliseconds(200))
    #expect(failure { try endpoint.receive(timeout: .zero) } == .concurrentUse)
    endpoint.wake()
    done.wait()
    #expect(try endpoint.receive(timeout: .zero) == nil)
  }

  @Test func aClosedEndSaysSo() throws {
    let site = try Site()
    let owner = try site.owner()
    owner.close()
    owner.close()
    #expect(failure { try owner.send(text("hello")) } == .closed)
    #expect(failure { try owner.receive(timeout: .zero) } == .closed)
    site.endpoint.close()
    site.endpoint.close()
    site.endpoint.wake()
    #expect(failure { try site.endpoint.receive(timeout: .zero) } == .closed)
  }
}
