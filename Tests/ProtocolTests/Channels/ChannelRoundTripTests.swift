import Foundation
import Testing
import TestSupport

@testable import Protocol

@Suite("Messages over TCP with CURVE", .waiting, .timeLimit(.minutes(10)))
struct ChannelRoundTripTests {
  @Test func aMessageAndItsAnswerKeepTheirFrames() throws {
    let site = try Site()
    let owner = try site.owner()
    let question: Message = [Data("header".utf8), Data(), pattern(5_000), pattern(1)]
    try owner.send(question)
    let received = try #require(try site.endpoint.receive(timeout: Site.patience))
    #expect(received.frames == question)
    #expect(received.peer.ownerKey == site.ownerKeys[0].ownerKey)

    let answer: Message = [Data("answer".utf8), pattern(70_000)]
    try site.endpoint.send(answer, to: received.peer)
    #expect(try owner.receive(timeout: Site.patience) == answer)
    #expect(owner.isConnected)
  }

  @Test(arguments: [1_023, 1_024, 8_191, 8_192, 1 << 20, 4 << 20, 4 << 20 + 1, 40 << 20])
  func aFrameOfAnySizeArrivesWithEqualBytes(byteCount: Int) throws {
    // The usual heartbeats: on a busy machine a piece of 4 MiB may take longer than the quick ones allow.
    let site = try Site(options: TransportOptions())
    let owner = try site.owner()
    let frame = pattern(byteCount)
    try owner.send([Data("header".utf8), frame])
    let received = try #require(try site.endpoint.receive(timeout: Site.patience))
    #expect(received.frames.count == 2)
    #expect(received.frames.last == frame)
  }

  @Test func aFrameOfExactlyTheLimitIsAccepted() throws {
    var options = Site.quickOptions
    options.maximumFrameBytes = 100_000
    let site = try Site(options: options)
    let owner = try site.owner()
    try owner.send([pattern(100_000)])
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames.first?.count == 100_000)
  }

  @Test func changingTheDataAfterSendDoesNotChangeWhatIsSent() throws {
    let site = try Site()
    let owner = try site.owner()
    var frame = pattern(8 << 20)
    let sent = frame
    try owner.send([frame])
    frame.resetBytes(in: 0..<frame.count)
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames.first == sent)
  }

  @Test func aReceivedFrameOutlivesItsSocketAndMayBeChanged() throws {
    let frame = pattern(1 << 20)
    var received: Data?
    do {
      let site = try Site()
      let owner = try site.owner()
      try owner.send([frame])
      received = try site.endpoint.receive(timeout: Site.patience)?.frames.first
      owner.close()
      site.endpoint.close()
    }
    #expect(received == frame)
    let copy = received
    received?[0] ^= 0xff
    #expect(copy == frame)
    #expect(received != frame)
  }

  @Test func twoOwnersAreKeptApart() throws {
    let site = try Site(owners: 2)
    let owners = try [site.owner(0), site.owner(1)]
    for (number, owner) in owners.enumerated() { try owner.send(text("from \(number)")) }
    for _ in owners {
      let received = try #require(try site.endpoint.receive(timeout: Site.patience))
      let number = try #require(site.ownerKeys.firstIndex { $0.ownerKey == received.peer.ownerKey })
      #expect(received.frames == text("from \(number)"))
      try site.endpoint.send(text("for \(number)"), to: received.peer)
    }
    for (number, owner) in owners.enumerated() {
      #expect(try owner.receive(timeout: Site.patience) == text("for \(number)"))
      #expect(try owner.receive(timeout: .milliseconds(50)) == nil)
    }
  }

  @Test func oneKeyMayHaveTwoConnections() throws {
    let site = try Site()
    let (first, second) = (try site.owner(), try site.owner())
    try first.send(text("first"))
    let firstPeer = try #require(try site.endpoint.receive(timeout: Site.patience)?.peer)
    try second.send(text("second"))
    let secondPeer = try #require(try site.endpoint.receive(timeout: Site.patience)?.peer)
    #expect(firstPeer != secondPeer)
    #expect(firstPeer.ownerKey == secondPeer.ownerKey)
    try site.endpoint.send(text("for the second"), to: secondPeer)
    #expect(try second.receive(timeout: Site.patience) == text("for the second"))
    #expect(try first.receive(timeout: .milliseconds(50)) == nil)
  }

  @Test func nothingReadableCrossesTheWire() throws {
    let site = try Site()
    let proxy = try #require(TCPProxy(target: site.port))
    defer { proxy.stop() }
    let owner = try site.owner(at: proxy.endpoint)
    let marker = Data((0..<64).map { UInt8($0) })
    try owner.send([marker])
    let received = try #require(try site.endpoint.receive(timeout: Site.patience))
    try site.endpoint.send([marker], to: received.peer)
    #expect(try owner.receive(timeout: Site.patience) == [marker])
    let seen = Data(proxy.bytesSeen)
    #expect(seen.count > 2 * marker.count)
    #expect(seen.range(of: marker) == nil)
    #expect(seen.range(of: Data(site.ownerKeys[0].publicKey.bytes)) == nil)
  }
}
