import Foundation
import Foundations
import Numerics
import Protocol
import Synchronization
import TestSupport
import Testing

@testable import OwnerRole

/// Texts at a host that has no room for more questions of anybody, now and then or for good.
@Suite(.waiting, .timeLimit(.minutes(5))) struct GenerationRoomTests {
  private typealias Stage = GenerationStage<Float>

  /// A connection to a host that refuses some of the steps of sessions, unread.
  private final class BusyChannel: OwnerChannel {
    private struct State {
      var steps = 0
      var refusals: [Message] = []
    }

    private let channel: any OwnerChannel
    private let isRefused: @Sendable (_ step: Int) -> Bool
    private let state = Mutex(State())
    private let codec = MessageCodec<Float>()

    /// - Parameter isRefused: by the number of steps before.
    init(_ channel: any OwnerChannel, isRefused: @escaping @Sendable (_ step: Int) -> Bool) {
      self.channel = channel
      self.isRefused = isRefused
    }

    var steps: Int { state.withLock(\.steps) }
    var isConnected: Bool { channel.isConnected }

    func send(_ message: Message) throws(TransportError) {
      guard let (job, request) = try? codec.ownerMessage(message), case .question(.extend) = request else {
        return try channel.send(message)
      }
      let isTaken = state.withLock { state in
        defer { state.steps += 1 }
        guard isRefused(state.steps) else { return true }
        state.refusals.append(
          codec.frames(.refused(kind: .exhausted, reason: "more questions wait here; ask again later"), job: job))
        return false
      }
      if isTaken { try channel.send(message) }
    }

    func receive(timeout: Duration) throws(TransportError) -> Message? {
      let refusal = state.withLock { $0.refusals.isEmpty ? nil : $0.refusals.removeFirst() }
      if let refusal { return refusal }
      return try channel.receive(timeout: timeout)
    }

    func wake() { channel.wake() }
    func close() { channel.close() }
  }

  /// The first of all, some of the first window, and some on the way.
  @Test(arguments: [0..<1, 1..<4, 0..<6, 25..<28]) func aHostWithoutRoom(_ refused: Range<Int>) throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let expected = try stage.expected(try Stage.greedy)
    let deployment = try stage.fixture.deployed(stage.source)
    let channel = BusyChannel(
      stage.fixture.network.connect(stage.fixture.clients[0].keys.ownerKey), isRefused: { refused.contains($0) })
    var waits = 0
    let report = try stage.generate(deployment, to: "texts.h5", over: channel) { event in
      if case .waiting(let reason) = event {
        waits += 1
        #expect(reason.contains("ask again later"))
      }
    }
    #expect(try stage.results("texts.h5") == expected)
    #expect(waits >= 1 && channel.steps > refused.upperBound)
    // What was asked again counts once.
    #expect(report.rowsSeen == stage.tokensSent(expected))
  }

  @Test func aHostThatStaysWithoutRoom() throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let expected = try stage.expected(try Stage.greedy)
    let deployment = try stage.fixture.deployed(stage.source)
    let channel = BusyChannel(
      stage.fixture.network.connect(stage.fixture.clients[0].keys.ownerKey), isRefused: { $0 >= 20 })
    let error = #expect(throws: OwnerError.self) {
      try stage.generate(deployment, to: "texts.h5", over: channel, patience: .seconds(1))
    }
    #expect(error?.kind == .exhausted && error?.description.contains("the same command goes on there") == true)
    try stage.generate(deployment, to: "texts.h5")
    #expect(try stage.results("texts.h5") == expected)
  }
}
