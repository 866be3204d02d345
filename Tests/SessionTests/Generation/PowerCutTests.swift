import Files
import Foundation
import Foundations
import Numerics
import Protocol
import Synchronization
import TestSupport
import Testing

@testable import OwnerRole

/// What a power cut leaves of a command at work: the bytes that were brought to the disk, which may be fewer than were written.
@Suite(.waiting, .timeLimit(.minutes(10))) struct PowerCutTests {
  private typealias Stage = GenerationStage<Double>

  /// A connection that tells of each message before it goes out.
  private final class WatchedChannel: OwnerChannel {
    private let channel: any OwnerChannel
    private let beforeSending: @Sendable () -> Void

    init(_ channel: any OwnerChannel, beforeSending: @escaping @Sendable () -> Void) {
      self.channel = channel
      self.beforeSending = beforeSending
    }

    var isConnected: Bool { channel.isConnected }

    func send(_ message: Message) throws(TransportError) {
      if let (_, request) = try? MessageCodec<Double>().ownerMessage(message), case .question(.extend) = request {
        beforeSending()
      }
      try channel.send(message)
    }

    func receive(timeout: Duration) throws(TransportError) -> Message? { try channel.receive(timeout: timeout) }
    func wake() { channel.wake() }
    func close() { channel.close() }
  }

  /// Whatever the host was asked with is on the disk; cut back to that, the file leads to the same texts, and each token is counted once.
  @Test func tokensThatTheHostHasSeen() throws {
    let stage = try Stage()
    let host = stage.host()
    defer { host.shutDown() }
    let deployment = try stage.fixture.deployed(stage.source)
    let sampling = try TokenSampling(temperature: 1)
    let expected = try stage.expected(sampling)
    let partial = stage.fixture.directory.url("texts.h5.partial")
    let asked = Mutex((messages: 0, onDisk: 0, length: 0))
    var runs = 0
    while !stage.fixture.directory.url("texts.h5").isThere, runs < 100 {
      runs += 1
      // On the thread of the command alone, which this one is.
      nonisolated(unsafe) let generation = try stage.generation(
        deployment, to: "texts.h5", sampling: sampling, seed: runs == 1 ? 5 : nil)
      let channel = WatchedChannel(
        MortalChannel(
          stage.fixture.network.connect(stage.fixture.clients[0].keys.ownerKey), operations: 23 * runs)
      ) {
        asked.withLock { asked in
          asked.messages += 1
          asked.onDisk += generation.partial.isOnDisk ? 1 : 0
          asked.length = Self.length(partial)
        }
      }
      do {
        _ = try generation.run(over: stage.fixture.connection(deployment, as: 0, over: channel), patience: .seconds(60))
      } catch let error as TransportError {
        #expect(error == .closed)
        // Answers that came after the last message may have added to it; whether any did depends on who was faster.
        #expect(truncate(partial.path, asked.withLock(\.length)) == 0)
      }
    }
    let (messages, onDisk) = asked.withLock { ($0.messages, $0.onDisk) }
    #expect(runs > 2 && runs < 100, "\(runs) runs")
    #expect(messages == onDisk && messages > 100)
    #expect(try stage.results("texts.h5") == expected)
    #expect(try stage.fixture.host(deployment).status().rows == stage.tokensSent(expected))
  }

  private static func length(_ file: URL) -> Int {
    (try? FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int) ?? 0
  }

  /// Numbers and noise are on the disk before they are used. Answers, which can be asked for again, may be lost; with the 64 at most that are
  /// unanswered they stay fewer than the 256 that a host knows again.
  @Test func answers() throws {
    let directory = try TemporaryDirectory()
    let subject = PartialAnswers.Subject(
      deployment: JobID(bytes: [UInt8](repeating: 7, count: JobID.byteCount)), client: "client",
      data: AskedFile(path: "/data.h5", bytes: 100, changed: 1.5), features: nil, rows: 1000, width: 2)
    let partial = try PartialAnswers(.file(directory.url("answers.partial").path), subject, outputs: 2)
    try partial.set(PartialAnswers.Cut(rowsPerQuestion: 1))
    #expect(!partial.isOnDisk)
    try partial.set(PartialAnswers.Numbering(index: 0, first: 1, keyNumber: 1, kernel: "k"))
    #expect(partial.isOnDisk)
    var most = 0
    var inMemory = 0
    for index in 0..<600 {
      try partial.add([PredictedRow()], Tensor<Float>([1, 2], shape: [1, 2]), index: index)
      inMemory = partial.isOnDisk ? 0 : inMemory + 1
      most = max(most, inMemory)
    }
    #expect(most > 1 && most + 64 <= 256)
  }
}
