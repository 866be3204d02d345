import Foundations
import Foundation
import Synchronization
import Testing
import TestSupport

@testable import Protocol

@Suite("Messages within one process", .waiting, .timeLimit(.minutes(10)))
struct InProcessTests {
  private let network: InProcessNetwork
  private let keys: [OwnerKey]

  init() throws {
    var options = TransportOptions()
    options.sendTimeout = .milliseconds(200)
    options.sendQueueMessages = 4
    options.receiveQueueMessages = 4
    network = InProcessNetwork(options: options)
    keys = try (0..<2).map { _ in try CurveKeyPair.generate().ownerKey }
  }

  @Test func ownersAreKeptApart() throws {
    let server = network.makeServerEndpoint()
    let owners = keys.map { network.connect($0) }
    for (number, owner) in owners.enumerated() { try owner.send(text("from \(number)")) }
    for number in 0..<2 {
      let received = try #require(try server.receive(timeout: Site.patience))
      #expect(received.peer.ownerKey == keys[number])
      #expect(received.frames == text("from \(number)"))
      try server.send(text("for \(number)"), to: received.peer)
    }
    for (number, owner) in owners.enumerated() {
      #expect(try owner.receive(timeout: Site.patience) == text("for \(number)"))
      #expect(try owner.receive(timeout: .milliseconds(10)) == nil)
    }
  }

  @Test func aDisconnectionLosesWhatIsUnderWayAndIsToldOnce() throws {
    let server = network.makeServerEndpoint()
    let owner = network.connect(keys[0])
    try owner.send(text("1"))
    let peer = try #require(try server.receive(timeout: Site.patience)?.peer)
    try owner.send(text("lost on the way there"))
    try server.send(text("lost on the way back"), to: peer)
    network.disconnect(keys[0])
    #expect(failure { try owner.receive(timeout: Site.patience) }?.kind == .unreachable)
    #expect(try owner.receive(timeout: .milliseconds(10)) == nil)
    #expect(try server.receive(timeout: .milliseconds(10)) == nil)
    #expect(failure { try server.send(text("to the old connection"), to: peer) }?.kind == .unreachable)
    try owner.send(text("2"))
    let second = try #require(try server.receive(timeout: Site.patience))
    #expect(second.frames == text("2"))
    #expect(second.peer != peer)
    #expect(second.peer.ownerKey == keys[0])
  }

  @Test func aDisconnectionOfOneOwnerLeavesTheOther() throws {
    let server = network.makeServerEndpoint()
    let owners = keys.map { network.connect($0) }
    for owner in owners { try owner.send(text("hello")) }
    network.disconnect(keys[0])
    #expect(try server.receive(timeout: Site.patience)?.peer.ownerKey == keys[1])
    #expect(try server.receive(timeout: .milliseconds(10)) == nil)
    #expect(try owners[1].receive(timeout: .milliseconds(10)) == nil)
    #expect(owners[1].isConnected)
    #expect(!owners[0].isConnected)
  }

  @Test func aServerMayEndAndComeBack() throws {
    let first = network.makeServerEndpoint()
    let owner = network.connect(keys[0])
    try owner.send(text("first life"))
    first.close()
    #expect(failure { try first.receive(timeout: .zero) } == .closed)
    #expect(failure { try owner.send(text("nobody there")) } == .peerGone(endpoint: "the server in this process"))
    #expect(failure { try owner.send(text("nobody there")) } == .unreachable(peer: "the server in this process"))
    let second = network.makeServerEndpoint()
    try owner.send(text("second life"))
    #expect(try second.receive(timeout: Site.patience)?.frames == text("second life"))
  }

  @Test func queuesAreBounded() throws {
    let server = network.makeServerEndpoint()
    let owner = network.connect(keys[0])
    for _ in 0..<4 { try owner.send(text("in")) }
    let start = ContinuousClock.now
    #expect(failure { try owner.send(text("one too many")) }?.kind == .unreachable)
    #expect(ContinuousClock.now - start >= .milliseconds(190))
    let peer = try #require(try server.receive(timeout: Site.patience)?.peer)
    for _ in 0..<4 { try server.send(text("out"), to: peer) }
    #expect(failure { try server.send(text("one too many"), to: peer) }?.kind == .unreachable)
  }

  @Test func aWaitingSendGoesOnWhenThereIsRoom() throws {
    let server = network.makeServerEndpoint()
    let owner = network.connect(keys[0])
    for _ in 0..<4 { try owner.send(text("in")) }
    Thread {
      pause(.milliseconds(50))
      _ = try? server.receive(timeout: Site.patience)
    }.start()
    try owner.send(text("after a wait"))
  }

  @Test func aFaultMayDropAlterAndReorder() throws {
    let server = network.makeServerEndpoint()
    let owner = network.connect(keys[0])
    let held = Mutex<Message?>(nil)
    network.setFault { transit in
      switch String(decoding: transit.message[0], as: UTF8.self) {
      case "drop": []
      case "alter": [text("altered")]
      case "hold":
        held.withLock { held -> [Message] in
          held = transit.message
          return []
        }
      default: [transit.message] + held.withLock { $0.map { [$0] } ?? [] }
      }
    }
    for word in ["drop", "alter", "hold", "last"] { try owner.send(text(word)) }
    for word in ["altered", "last", "hold"] {
      #expect(try server.receive(timeout: Site.patience)?.frames == text(word))
    }
    network.setFault(nil)
    try owner.send(text("drop"))
    #expect(try server.receive(timeout: Site.patience)?.frames == text("drop"))
  }

  @Test func wakeEndsAReceiveOnEitherSide() throws {
    let server = network.makeServerEndpoint()
    let owner = network.connect(keys[0])
    Thread {
      pause(.milliseconds(50))
      server.wake()
      owner.wake()
    }.start()
    let start = ContinuousClock.now
    #expect(try server.receive(timeout: Site.patience) == nil)
    #expect(try owner.receive(timeout: Site.patience) == nil)
    #expect(ContinuousClock.now - start < .seconds(5))
  }

  @Test func limitsHoldAsOverTCP() throws {
    _ = network.makeServerEndpoint()
    let owner = network.connect(keys[0])
    #expect(failure { try owner.send(Array(repeating: Data(), count: 65)) } == .frameCount(65, maximum: 64))
    #expect(failure { try owner.send([]) } == .frameCount(0, maximum: 64))
    owner.close()
    #expect(failure { try owner.send(text("x")) } == .closed)
  }
}
