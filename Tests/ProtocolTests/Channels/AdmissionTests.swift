import CZeroMQ
import Foundations
import Foundation
import Glibc
import Testing
import TestSupport

@testable import Protocol

@Suite("Who is served", .waiting, .timeLimit(.minutes(10)))
struct AdmissionTests {
  @Test func aPeerWithoutAListedKeyIsRefused() throws {
    let site = try Site()
    let stranger = try CurveKeyPair.generate()
    let channel = try ZeroMQOwnerChannel(
      endpoint: site.endpoint.boundEndpoint, ownerKeys: stranger, serverKey: site.serverKeys.publicKey,
      options: site.options)
    let error = try #require(nextFailure(channel))
    #expect(error == .refused(endpoint: site.endpoint.boundEndpoint, ownerKey: stranger.ownerKey))
    #expect(error.kind == .refused)
    #expect(error.description.contains(stranger.publicKey.z85))
    let refusal = try #require(site.refusals.waitFor(.keyNotListed))
    #expect(refusal.ownerKeyPrefix == stranger.ownerKey.prefix)
    #expect(refusal.address == "127.0.0.1")
    #expect(try site.endpoint.receive(timeout: .milliseconds(50)) == nil)
  }

  @Test func aPeerWithoutAListedKeyCannotSend() throws {
    let site = try Site()
    let channel = try ZeroMQOwnerChannel(
      endpoint: site.endpoint.boundEndpoint, ownerKeys: .generate(), serverKey: site.serverKeys.publicKey,
      options: site.options)
    #expect(failure { try channel.send(text("let me in")) }?.kind == .refused)
    #expect(try site.endpoint.receive(timeout: .milliseconds(50)) == nil)
  }

  @Test func anOwnerListedLaterIsServedOnTheSameChannel() throws {
    let site = try Site()
    let late = try CurveKeyPair.generate()
    let channel = try ZeroMQOwnerChannel(
      endpoint: site.endpoint.boundEndpoint, ownerKeys: late, serverKey: site.serverKeys.publicKey,
      options: site.options)
    #expect(nextFailure(channel)?.kind == .refused)
    site.endpoint.authorize([late.ownerKey])
    // One more refusal may already have been under way.
    if failure(of: { try channel.send(text("now")) }) != nil { try channel.send(text("now")) }
    #expect(try site.endpoint.receive(timeout: Site.patience)?.peer.ownerKey == late.ownerKey)
  }

  @Test func aWrongPinnedServerKeyIsAKeyError() throws {
    let site = try Site()
    let channel = try ZeroMQOwnerChannel(
      endpoint: site.endpoint.boundEndpoint, ownerKeys: site.ownerKeys[0],
      serverKey: CurveKeyPair.generate().publicKey, options: site.options)
    let error = try #require(nextFailure(channel))
    #expect(error == .serverKeyRejected(endpoint: site.endpoint.boundEndpoint))
    #expect(error.kind == .keyOrPermission)
    #expect(site.refusals.waitFor(.handshakeFailed) != nil)
  }

  @Test func aKeyRemovedFromTheListIsServedNoLongerOnItsConnection() throws {
    let site = try Site(owners: 2)
    let (removed, kept) = (try site.owner(0), try site.owner(1))
    try removed.send(text("while listed"))
    let peer = try #require(try site.endpoint.receive(timeout: Site.patience)?.peer)
    site.endpoint.authorize([site.ownerKeys[1].ownerKey])

    try removed.send(text("after removal"))
    try kept.send(text("still listed"))
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == text("still listed"))
    // The two connections' messages come in any order; the one dropped may still be waiting.
    #expect(try site.endpoint.receive(timeout: .milliseconds(200)) == nil)
    #expect(site.refusals.waitFor(.keyRemoved)?.ownerKeyPrefix == peer.ownerKey.prefix)
    #expect(nextFailure(removed)?.kind == .refused)
    #expect(failure { try site.endpoint.send(text("secret"), to: peer) } == .notAuthorized(peer.ownerKey))
  }

  @Test func aRemovedOwnerThatOnlyListensIsToldByTheNextSend() throws {
    let site = try Site()
    let owner = try site.owner()
    try owner.send(text("hello"))
    let peer = try #require(try site.endpoint.receive(timeout: Site.patience)?.peer)
    site.endpoint.authorize([])
    #expect(failure { try site.endpoint.send(text("secret"), to: peer) }?.kind == .refused)
    #expect(nextFailure(owner)?.kind == .refused)
  }

  /// Beside the owners, whatever happens to their list, and no longer than they are admitted.
  @Test func guests() throws {
    let site = try Site()
    let owner = try site.owner()
    let key = try CurveKeyPair.generate()
    let guest = try ZeroMQOwnerChannel(
      endpoint: site.endpoint.boundEndpoint, ownerKeys: key, serverKey: site.serverKeys.publicKey,
      options: site.options)
    #expect(nextFailure(guest)?.kind == .refused)
    site.endpoint.admitGuests([key.ownerKey])
    // One more refusal may already have been under way.
    if failure(of: { try guest.send(text("one")) }) != nil { try guest.send(text("one")) }
    let first = try #require(try site.endpoint.receive(timeout: Site.patience))
    #expect(first.peer.ownerKey == key.ownerKey)
    site.endpoint.authorize([site.ownerKeys[0].ownerKey])
    try guest.send(text("two"))
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == text("two"))
    try site.endpoint.send(text("answer"), to: first.peer)
    #expect(try guest.receive(timeout: Site.patience) == text("answer"))

    site.endpoint.admitGuests([])
    #expect(failure { try site.endpoint.send(text("secret"), to: first.peer) } == .notAuthorized(key.ownerKey))
    #expect(nextFailure(guest)?.kind == .refused)
    try owner.send(text("still here"))
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == text("still here"))
  }

  /// A host that was just started and still reads its deployments: a refusal then would end a client that is let in a moment later.
  @Test func aClientThatComesWhileTheHostReadsItsDeploymentsWaits() throws {
    let site = try Site(awaitsGuests: true)
    let (keys, strangers) = (try CurveKeyPair.generate(), try CurveKeyPair.generate())
    let guest = try site.channel(keys)
    let stranger = try site.channel(strangers)
    for channel in [guest, stranger] {
      #expect(try channel.receive(timeout: .milliseconds(300)) == nil)
      #expect(!channel.isConnected)
    }
    // Those that wait keep nobody else waiting.
    try site.owner().send(text("owner"))
    #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == text("owner"))
    #expect(site.refusals.all.isEmpty)

    site.endpoint.admitGuests([keys.ownerKey])
    try guest.send(text("guest"))
    #expect(try site.endpoint.receive(timeout: Site.patience)?.peer.ownerKey == keys.ownerKey)
    #expect(nextFailure(stranger)?.kind == .refused)
    #expect(site.refusals.waitFor(.keyNotListed)?.ownerKeyPrefix == strangers.ownerKey.prefix)
  }

  /// One handshake takes 2 s here: the client makes another.
  @Test func aClientWaitsLongerThanAHandshakeTakes() throws {
    let site = try Site(awaitsGuests: true)
    let keys = try CurveKeyPair.generate()
    let guest = try site.channel(keys)
    #expect(try guest.receive(timeout: .milliseconds(3_000)) == nil)
    site.endpoint.admitGuests([keys.ownerKey])
    try guest.send(text("guest"))
    #expect(try site.endpoint.receive(timeout: Site.patience)?.peer.ownerKey == keys.ownerKey)
  }

  @Test func anEndThatClosesWhileClientsWaitDoesNotWaitForThem() throws {
    let site = try Site(awaitsGuests: true)
    let guest = try site.channel(.generate())
    #expect(try guest.receive(timeout: .milliseconds(300)) == nil)
    let start = ContinuousClock.now
    site.endpoint.close()
    // The linger time is half a second, a handshake's two.
    #expect(start.duration(to: .now) < .milliseconds(1_500))
  }

  @Test func ofManyThatWaitThoseBeyondTheLimitComeAgain() throws {
    let site = try Site(awaitsGuests: true)
    let keys = try (0..<AdmissionHandler.mostWaiting + 8).map { _ in try CurveKeyPair.generate() }
    let channels = try keys.map(site.channel)
    #expect(try channels[0].receive(timeout: .milliseconds(500)) == nil)
    site.endpoint.admitGuests(Set(keys.map(\.ownerKey)))
    for channel in channels { try channel.send(text("here")) }
    for _ in channels { #expect(try site.endpoint.receive(timeout: Site.patience)?.frames == text("here")) }
    #expect(site.refusals.all.allSatisfy { $0.reason != .keyNotListed })
  }

  @Test func aConnectionThatNamesItselfIsNotServed() throws {
    let site = try Site()
    let context = try ZeroMQContext(ioThreads: 1)
    let socket = try ZeroMQSocket(ZMQ_DEALER, in: context)
    try socket.configure(site.options, endpoint: site.endpoint.boundEndpoint)
    try socket.configureOwner(
      keys: site.ownerKeys[0], serverKey: site.serverKeys.publicKey)
    try socket.set(ZMQ_ROUTING_ID, bytes: Array("somebody else".utf8))
    try socket.connect(site.endpoint.boundEndpoint)
    try SocketWait.wait(for: [.writable(socket)], until: Deadline(after: Site.patience))
    #expect(try socket.send(MessageEnvelope.parts(of: text("hello"), pieceBytes: 1_000)) == .sent)
    #expect(try site.endpoint.receive(timeout: .milliseconds(500)) == nil)
    #expect(site.refusals.waitFor(.routingIdentityClaimed) != nil)
  }

  @Test func theNumbersOfConnectionsCannotBeForeseen() throws {
    let identities = try (0..<2).map { _ in
      srand(1)
      let site = try Site()
      let owner = try site.owner()
      try owner.send(text("hello"))
      return try #require(try site.endpoint.receive(timeout: Site.patience)?.peer.routingIdentity)
    }
    // Equal by chance once in 2³² runs.
    #expect(identities[0] != identities[1])
  }

  @Test func refusalsAreToldAtABoundedRateAndAllCounted() {
    let log = RefusalLog()
    let reporter = RefusalReporter { log.append($0) }
    for _ in 0..<500 { reporter.report(.handshakeFailed) }
    #expect(reporter.total == 500)
    #expect(log.all.count == 10)
  }
}
