import Foundation
import Transport

/// Input bytes as the parts of a message on its way, cut like the frames of `FrameInput`.
enum EnvelopeInput {
  private static let options: TransportOptions = {
    var options = TransportOptions()
    // Small, so that inputs of some bytes have frames of several pieces.
    options.pieceBytes = 8
    options.maximumFrameBytes = 64
    options.maximumFrames = 6
    return options
  }()

  static func run(_ input: Data) {
    guard case .message(let message) = try? MessageEnvelope.read(FrameInput.frames(of: input), options: options) else {
      return
    }
    let again = try? MessageEnvelope.read(parts(of: message), options: options)
    precondition(again == .message(message), "a message changed on its way")
  }

  static func parts(of message: [Data]) -> [Data] {
    MessageEnvelope.parts(of: message, pieceBytes: options.pieceBytes)
  }

  static let seeds: [Data] = [[Data()], [Data([1, 2, 3])], [Data(count: 20), Data(), Data(repeating: 7, count: 8)]]
    .map { FrameInput.input(of: parts(of: $0)) }
}
