import CZeroMQ
import Foundations
import Foundation
import TestSupport
import Testing

@testable import Protocol

@Suite("What is not accepted", .waiting, .timeLimit(.minutes(10)))
struct LimitTests {
  /// Limits an owner's program of its own would have: none that matter here.
  private var unlimited: TransportOptions {
    var options = Site.quickOptions
    options.maximumFrameBytes = 1 << 30
    options.maximumFrames = 10_000
    return options
  }

  @Test func anOversizedFrameIsRefusedAndOthersAreStillServed() throws {
    var options = Site.quickOptions
    options.maximumFrameBytes = 1 << 20
    let site = try Site(owners: 2, options: options)
    let (greedy, modest) = (try site.owner(0, options: unlimited), try site.owner(1))
    try modest.send(text("before"))
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == text("before"))
    try greedy.send([pattern(1 << 20 + 1)])
    #expect(nextFailure(greedy) == .peerGone(endpoint: site.endpoint.boundEndpoint))
    try modest.send(text("after"))
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == text("after"))
  }

  @Test func anOversizedFrameInAcceptablePiecesIsDroppedAndReported() throws {
    var options = Site.quickOptions
    options.maximumFrameBytes = 3 << 20
    options.pieceBytes = 1 << 20
    let site = try Site(options: options)
    var greedyOptions = unlimited
    greedyOptions.pieceBytes = options.pieceBytes
    let greedy = try site.owner(options: greedyOptions)
    try greedy.send([pattern(3 << 20 + 1)])
    try greedy.send([pattern(3 << 20)])
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames.first?.count == 3 << 20)
    #expect(site.refusals.waitFor(.frameTooLarge(bytes: 3 << 20 + 1)) != nil)
  }

  /// The server knows how much of what it sent nobody has taken, from the network and not from the other side's word.
  @Test func whatIsNotReadIsKnown() throws {
    // Nothing of it is taken for gone while it does not read.
    var options = TransportOptions()
    options.heartbeatTimeout = .seconds(60)
    let site = try Site(options: options)
    let context = try ZeroMQContext(ioThreads: 1)
    let socket = try ZeroMQSocket(ZMQ_DEALER, in: context)
    try socket.configure(options, endpoint: site.endpoint.boundEndpoint)
    try socket.configureOwner(keys: site.ownerKeys[0], serverKey: site.serverKeys.publicKey)
    // It takes one message, and its kernel what fits a small buffer.
    try socket.set(ZMQ_RCVHWM, 1)
    try socket.set(ZMQ_RCVBUF, 1 << 16)
    try socket.connect(site.endpoint.boundEndpoint)
    try SocketWait.wait(for: [.writable(socket)], until: Deadline(after: Site.patience))
    #expect(try socket.send(MessageEnvelope.parts(of: text("hello"), pieceBytes: options.pieceBytes)) == .sent)
    let peer = try #require(try site.endpoint.receive(timeout: Site.patience)).peer
    #expect(site.endpoint.unreadBytes(of: peer) == 0)
    for _ in 0..<24 { try site.endpoint.send([pattern(4 << 20)], to: peer) }
    let all = 24 * 4 << 20
    func settles(_ isThere: (Int) -> Bool) throws -> Bool {
      let deadline = ContinuousClock.now + Site.patience
      while ContinuousClock.now < deadline {
        if isThere(try #require(site.endpoint.unreadBytes(of: peer))) { return true }
        Thread.sleep(forTimeInterval: 0.02)
      }
      return false
    }
    Thread.sleep(forTimeInterval: 1)
    #expect(try settles { $0 > all / 2 && $0 < all + 1 << 16 })
    // It reads all of it.
    var read = 0
    let deadline = ContinuousClock.now + Site.patience
    while read < 24, ContinuousClock.now < deadline {
      if try socket.receive(maximumParts: 64) != nil { read += 1 } else { Thread.sleep(forTimeInterval: 0.01) }
    }
    #expect(read == 24)
    #expect(try settles { $0 == 0 })
    #expect(site.endpoint.unreadBytes(of: PeerID(routingIdentity: [0, 1, 2, 3, 4], ownerKey: peer.ownerKey)) == nil)
    socket.close()
  }

  @Test func aMessageThatCannotBeReadIsDroppedAndReported() throws {
    let site = try Site()
    let context = try ZeroMQContext(ioThreads: 1)
    let socket = try ZeroMQSocket(ZMQ_DEALER, in: context)
    try socket.configure(site.options, endpoint: site.endpoint.boundEndpoint)
    try socket.configureOwner(
      keys: site.ownerKeys[0], serverKey: site.serverKeys.publicKey)
    try socket.connect(site.endpoint.boundEndpoint)
    try SocketWait.wait(for: [.writable(socket)], until: Deadline(after: Site.patience))
    #expect(try socket.send([Data("nonsense".utf8), Data()]) == .sent)
    #expect(try socket.send(MessageEnvelope.parts(of: text("sense"), pieceBytes: 1_000)) == .sent)
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == text("sense"))
    #expect(site.refusals.waitFor(.malformedMessage)?.ownerKeyPrefix == site.ownerKeys[0].ownerKey.prefix)
  }

  @Test func tooManyFramesAreDroppedAndReported() throws {
    let site = try Site(owners: 2)
    let (greedy, modest) = (try site.owner(0, options: unlimited), try site.owner(1))
    try greedy.send(Array(repeating: Data([1]), count: site.options.maximumFrames + 1))
    try greedy.send(Array(repeating: Data([2]), count: site.options.maximumFrames))
    let received = try #require(try site.endpoint.receive(timeout: Site.patience))
    #expect(received.frames.count == site.options.maximumFrames)
    #expect(received.frames.first == Data([2]))
    #expect(site.refusals.waitFor(.frameCount(site.options.maximumFrames + 1)) != nil)
    try modest.send(text("hello"))
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == text("hello"))
  }

  @Test func aFrameOverTheOwnLimitIsNotSent() throws {
    var options = Site.quickOptions
    options.maximumFrameBytes = 1_000
    let site = try Site(options: options)
    let owner = try site.owner()
    #expect(failure { try owner.send([pattern(1_001)]) } == .frameTooLarge(bytes: 1_001, maximum: 1_000))
    let peer = PeerID(routingIdentity: [0, 1, 2, 3, 4], ownerKey: site.ownerKeys[0].ownerKey)
    #expect(
      failure { try site.endpoint.send([pattern(1_001)], to: peer) } == .frameTooLarge(bytes: 1_001, maximum: 1_000))
  }

  @Test func aMessageWithoutFramesIsNotSent() throws {
    let site = try Site()
    let owner = try site.owner()
    #expect(failure { try owner.send([]) } == .frameCount(0, maximum: site.options.maximumFrames))
  }

  @Test func randomBytesOnThePortDoNotStopService() throws {
    let site = try Site()
    let owner = try site.owner()
    var random = SplitMix(seed: 42)
    // The first bytes of a real handshake, so that a part of the attempts gets past the greeting.
    let greeting: [UInt8] =
      [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + Array("CURVE".utf8) + [UInt8](repeating: 0, count: 15 + 32)
    #expect(greeting.count == 64)
    for attempt in 0..<60 {
      let connection = try #require(RawConnection(port: site.port))
      if attempt.isMultiple(of: 3) { connection.send(greeting) }
      if attempt % 3 == 1 { connection.send([4, 200, 5] + Array("HELLO".utf8)) }
      connection.send((0..<Int(random.next() % 2_000)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
    }
    try owner.send(text("still there?"))
    let received = try #require(try site.endpoint.receive(timeout: Site.patience))
    #expect(received.frames == text("still there?"))
    #expect(site.refusals.waitFor(.handshakeFailed) != nil)
  }

  @Test func aConnectionWithoutEncryptionIsClosed() throws {
    let site = try Site()
    let connection = try #require(RawConnection(port: site.port))
    let greeting: [UInt8] =
      [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + Array("NULL".utf8) + [UInt8](repeating: 0, count: 16 + 32)
    #expect(greeting.count == 64)
    connection.send(greeting)
    #expect(connection.isClosedByPeer())
    #expect(site.refusals.waitFor(.handshakeFailed) != nil)
  }

  @Test func aConnectionThatNeverSpeaksIsClosedAfterTheHandshakeTime() throws {
    let site = try Site()
    let connection = try #require(RawConnection(port: site.port))
    #expect(connection.isClosedByPeer())
  }

  @Test func anAddressThatIsNotTCPIsRefused() throws {
    let keys = try CurveKeyPair.generate()
    for address in [
      "127.0.0.1:5570", "ipc:///tmp/x", "inproc://x", "tcp://:1", "tcp://host", "tcp://host:0", "tcp://h:99999",
    ] {
      let error = failure {
        try ZeroMQOwnerChannel(endpoint: address, ownerKeys: keys, serverKey: keys.publicKey)
      }
      #expect(error == .invalidEndpoint(address))
      #expect(error?.kind == .usage)
    }
  }

  @Test func anAddressInUseCannotBeBoundAgain() throws {
    let site = try Site()
    let error = failure {
      try ZeroMQServerEndpoint(
        bind: site.endpoint.boundEndpoint, keys: site.serverKeys, authorized: AuthorizedKeys([]))
    }
    guard case .cannotBind(let endpoint, _) = error else {
      Issue.record("unexpected \(String(describing: error))")
      return
    }
    #expect(endpoint == site.endpoint.boundEndpoint)
  }
}
