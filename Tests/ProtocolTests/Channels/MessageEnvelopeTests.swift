import Foundation
import Testing

@testable import Protocol

@Suite("How messages are cut into parts")
struct MessageEnvelopeTests {
  private var options: TransportOptions {
    var options = TransportOptions()
    options.pieceBytes = 100
    options.maximumFrameBytes = 1_000
    options.maximumFrames = 4
    return options
  }

  private func read(_ parts: [Data]) -> Result<MessageEnvelope.Content, MessageEnvelope.Defect> {
    do {
      return .success(try MessageEnvelope.read(parts, options: options))
    } catch {
      return .failure(error)
    }
  }

  private func parts(_ message: Message) -> [Data] {
    MessageEnvelope.parts(of: message, pieceBytes: options.pieceBytes)
  }

  @Test(arguments: [[0], [1], [99], [100], [101], [200], [1_000], [0, 0], [0, 250, 0, 100], [100, 1, 300, 99]])
  func partsGiveTheMessageBack(lengths: [Int]) {
    let message = lengths.map { pattern($0) }
    let parts = parts(message)
    #expect(parts.count == 1 + lengths.reduce(0) { $0 + ($1 + 99) / 100 })
    #expect(parts.dropFirst().allSatisfy { $0.count <= 100 })
    #expect(parts.count <= MessageEnvelope.maximumParts(options))
    #expect(parts[0].count <= MessageEnvelope.tableBytes(frames: options.maximumFrames))
    #expect(read(parts) == .success(.message(message)))
  }

  @Test func theFormatIsTheDocumentedOne() {
    let bytes: [UInt8] = Array("EqTr".utf8) + [1, 0, 0, 0] + [3, 0, 0, 0, 0, 0, 0, 0] + [44, 1, 0, 0, 0, 0, 0, 0]
    #expect(parts([pattern(3), pattern(300)])[0] == Data(bytes))
    #expect(MessageEnvelope.keyRemoved == [Data(Array("EqTr".utf8) + [1, 1, 0, 0])])
    #expect(read(MessageEnvelope.keyRemoved) == .success(.keyRemoved))
  }

  @Test func aFrameInOnePieceIsNotCopied() throws {
    let frame = pattern(100)
    guard case .message(let message) = try MessageEnvelope.read(parts([frame]), options: options) else {
      Issue.record("not a message")
      return
    }
    #expect(message[0].withUnsafeBytes { $0.baseAddress } == frame.withUnsafeBytes { $0.baseAddress })
  }

  @Test func noPartsAreMalformed() {
    #expect(read([]) == .failure(.malformed))
  }

  @Test func aTableWithoutSignatureIsMalformed() {
    for table in ["", "EqTr", "EqTx\u{1}\0\0\0", "nonsense"] {
      #expect(read([Data(table.utf8)]) == .failure(.malformed))
    }
  }

  @Test func anotherVersionIsRefused() {
    var parts = parts([pattern(3)])
    parts[0][4] = 2
    #expect(read(parts) == .failure(.version(2)))
  }

  @Test func anUnknownKindOrReservedFieldIsMalformed() {
    for place in 5...7 {
      var parts = parts([pattern(3)])
      parts[0][place] = 9
      #expect(read(parts) == .failure(.malformed))
    }
  }

  @Test func aTableCutShortIsMalformed() {
    var parts = parts([pattern(3)])
    parts[0].removeLast()
    #expect(read(parts) == .failure(.malformed))
  }

  @Test func noFramesAndTooManyFramesAreRefused() {
    #expect(read(parts([])) == .failure(.frameCount(0)))
    #expect(read(parts(Array(repeating: Data([1]), count: 5))) == .failure(.frameCount(5)))
  }

  @Test func aFrameOverTheLimitIsRefused() {
    #expect(read(parts([pattern(1_001)])) == .failure(.frameTooLarge(bytes: 1_001)))
    var parts = parts([pattern(3)])
    for place in 8..<16 { parts[0][place] = 0xff }
    #expect(read(parts) == .failure(.frameTooLarge(bytes: .max)))
  }

  @Test func aMissingPieceIsMalformed() {
    #expect(read(parts([pattern(250)]).dropLast()) == .failure(.malformed))
    #expect(read(Array(parts([pattern(250)]).prefix(1))) == .failure(.malformed))
  }

  @Test func aPieceTooManyIsMalformed() {
    #expect(read(parts([pattern(250)]) + [Data([1])]) == .failure(.malformed))
    #expect(read(MessageEnvelope.keyRemoved + [Data()]) == .failure(.malformed))
  }

  @Test func piecesOfOtherLengthsAreMalformed() {
    var short = parts([pattern(250)])
    short[3].removeLast()
    #expect(read(short) == .failure(.malformed))
    var shifted = parts([pattern(250)])
    shifted[1].removeLast()
    shifted[3].append(0)
    #expect(read(shifted) == .failure(.malformed))
  }

  @Test func damagedTablesNeverCrash() {
    let original = parts([pattern(250), pattern(3)])
    for place in original[0].indices {
      for value in [UInt8(0), 1, 0x7f, 0x80, 0xff] where original[0][place] != value {
        var parts = original
        parts[0][place] = value
        guard case .failure = read(parts) else {
          Issue.record("byte \(place) set to \(value) was accepted")
          return
        }
      }
    }
  }
}
