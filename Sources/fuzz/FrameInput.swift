import Foundation
import Tensors
import Wire

/// Input bytes as the frames of a message: each frame after its length in 16 bits, the last as long as there are bytes.
enum FrameInput {
  private static let codec = MessageCodec<Float>(limits: WireLimits(tensorBytes: 1 << 16, headerBytes: 1 << 14))

  static func run(_ input: Data) {
    let frames = frames(of: input)
    if let (job, message) = try? codec.ownerMessage(frames) {
      let sent = codec.frames(message, job: job)
      let again = try? codec.ownerMessage(sent)
      precondition(again?.job == job, "a message that was taken is not taken again")
      precondition(again.map { codec.frames($0.message, job: job) } == sent, "a message changed on its way")
    }
    if let (job, message) = try? codec.trainerMessage(frames) {
      let sent = codec.frames(message, job: job)
      let again = try? codec.trainerMessage(sent)
      precondition(again?.job == job, "a message that was taken is not taken again")
      precondition(again.map { codec.frames($0.message, job: job) } == sent, "a message changed on its way")
    }
  }

  /// The input that `run` takes apart into `frames`.
  static func input(of frames: [Data]) -> Data {
    frames.reduce(into: Data()) { input, frame in
      withUnsafeBytes(of: UInt16(clamping: frame.count).littleEndian) { input.append(contentsOf: $0) }
      input.append(frame)
    }
  }

  static func frames(of input: Data) -> [Data] {
    var rest = input[...]
    var frames: [Data] = []
    while let low = rest.popFirst() {
      let count = Int(low) | Int(rest.popFirst() ?? 0) << 8
      frames.append(rest.prefix(count))
      rest = rest.dropFirst(count)
    }
    return frames
  }
}
