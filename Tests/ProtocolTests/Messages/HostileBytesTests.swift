import Foundations
import Foundation
import Testing
import TestSupport

@testable import Protocol

/// Whatever arrives is a message or an error, never a trap: good messages with bytes changed, frames cut, doubled and exchanged, and plain noise.
/// The generator is seeded, so that a failure repeats; `make fuzz` goes on from here for as long as one likes.
struct HostileBytesTests {
  private let codec = MessageCodec<Float>(limits: WireLimits(tensorBytes: 1 << 16, headerBytes: 1 << 12))

  /// - Returns: whether it was taken as a message of either side.
  private func parse(_ frames: [Data]) -> Bool {
    let isOwners = (try? codec.ownerMessage(frames)) != nil
    let isTrainers = (try? codec.trainerMessage(frames)) != nil
    return isOwners || isTrainers
  }

  private var samples: [[Data]] {
    MessageFixtures.owner.map { codec.frames($0, job: MessageFixtures.job) }
      + MessageFixtures.trainer.map { codec.frames($0, job: MessageFixtures.job) }
  }

  @Test func changedBytes() {
    var random = SplitMix(seed: 1)
    let samples = samples
    var taken = 0
    for _ in 0..<20_000 {
      var frames = samples.randomElement(using: &random) ?? []
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let frame = Int.random(in: 0..<frames.count, using: &random)
        guard !frames[frame].isEmpty else { continue }
        frames[frame][Int.random(in: 0..<frames[frame].count, using: &random)] =
          [0, 1, 0x7F, 0x80, 0xFF, UInt8.random(in: .min ... .max, using: &random)].randomElement(using: &random) ?? 0
      }
      if parse(frames) { taken += 1 }
    }
    // A byte of a tensor or of the job's id changes the message and not its form; most others break it.
    #expect((1..<20_000).contains(taken))
  }

  @Test func cutAndExchangedFrames() {
    var random = SplitMix(seed: 2)
    let samples = samples
    for _ in 0..<5_000 {
      var frames = samples.randomElement(using: &random) ?? []
      let other = samples.randomElement(using: &random) ?? []
      let frame = Int.random(in: 0..<frames.count, using: &random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0: frames[frame] = frames[frame].prefix(Int.random(in: 0...frames[frame].count, using: &random))
      case 1: frames.remove(at: frame)
      case 2: frames.append(contentsOf: other)
      case 3: frames[frame] = other.last ?? Data()
      default: frames[frame].append(contentsOf: other[0])
      }
      _ = parse(frames)
    }
  }

  @Test func noise() {
    var random = SplitMix(seed: 3)
    for _ in 0..<5_000 {
      let frames = (0..<Int.random(in: 0...6, using: &random)).map { _ in
        Data((0..<Int.random(in: 0...300, using: &random)).map { _ in UInt8.random(in: .min ... .max, using: &random) })
      }
      #expect(!parse(frames), "24 bytes of noise are no magic and version")
    }
  }
}
