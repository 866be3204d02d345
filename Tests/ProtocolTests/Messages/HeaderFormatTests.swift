import Foundations
import Foundation
import Numerics
import Testing

@testable import Protocol

/// The format itself, byte by byte: two releases that pass these tests understand each other.
struct HeaderFormatTests {
  @Test func outputGradient() {
    let message = OwnerMessage<Float>.gradient(step: 258, part: 3, values: Tensor([1, -2], shape: [1, 2]))
    let frames = MessageCodec<Float>().frames(message, job: MessageFixtures.job)
    let header: [UInt8] = [
      0x45, 0x51, 0x54, 0x52,  // EQTR
      6, 0,  // version
      6,  // kind: gradient
      1,  // tensors
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,  // job
      1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,  // float32, rank 2, 1 × 2
      2, 1, 0, 0, 0, 0, 0, 0,  // step 258
      3, 0, 0, 0, 0, 0, 0, 0,  // part
    ]
    #expect(frames.map(Array.init) == [header, [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0]])
  }

  @Test func refusal() {
    let frames = MessageCodec<Float>().frames(TrainerMessage.refused(kind: .exhausted, reason: "é"), job: .none)
    let header: [UInt8] =
      [0x45, 0x51, 0x54, 0x52, 6, 0, 103, 0] + [UInt8](repeating: 0, count: 16)
      + [8, 0, 0, 0, 0, 0, 0, 0]  // exit code 8
      + [2, 0, 0, 0, 0xC3, 0xA9]  // text: length, UTF-8
    #expect(frames.map(Array.init) == [header])
  }

  @Test func appliedStep() {
    let message = TrainerMessage<Float>.stepApplied(step: 1, gradientNorm: 1, learningRate: -2)
    let header: [UInt8] =
      [0x45, 0x51, 0x54, 0x52, 6, 0, 107, 0] + [UInt8](repeating: 0, count: 16)
      + [1, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0xF0, 0x3F] + [0, 0, 0, 0, 0, 0, 0, 0xC0]
    #expect(MessageCodec<Float>().frames(message, job: .none).map(Array.init) == [header])
  }

  /// Every element type has the code that files and peers know it by.
  @Test func elementTypeCodes() {
    #expect(ElementType.allCases.map(\.rawValue) == [1, 2, 3, 4, 5, 6])
    let delivery = MessageCodec<Double>().frames(
      OwnerMessage.batch(
        step: 0, part: 0,
        rows: RowDelivery<Double>(
          slots: Tensor([1], shape: [1]), carried: Tensor([1], shape: [1]), values: Tensor([2], shape: [1, 1]))),
      job: .none)[0]
    // Descriptors begin at byte 24: int32 [1] takes 10 bytes, uint8 [1] 10 more, float64 [1, 1] follows.
    #expect([delivery[24], delivery[34], delivery[44]] == [3, 5, 2])
  }
}
