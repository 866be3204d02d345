import Models
import Foundations
import Foundation
import Testing
import TestSupport
import Training
import Protocol

/// Descriptions of transformers that only a forged owner would send, in wire version 2: each number at, and beyond, what the protocol allows, alone and
/// all together. A trainer turns them down before it multiplies or allocates, and goes on.
@Suite(.waiting, .timeLimit(.minutes(10))) struct ForgedSizeTests {
  private static let extremes = [
    Int.min, -1, 0, 1, 1 << 10, 1 << 12, 1 << 20, 1 << 24, 1 << 31, 1 << 40, 1 << 62, Int.max,
  ]

  private func forged(
    width: Int = 8, blocks: Int = 2, heads: Int = 2, keyValueHeads: Int = 2, headWidth: Int = 4, hidden: Int = 12,
    outputs: Int = 3, maximumTokens: Int = 5, rank: Int? = nil, pooling: TokenPooling = .cls
  ) -> TransformerDescription {
    TransformerDescription(
      family: .bert, width: width, blocks: blocks, heads: heads, keyValueHeads: keyValueHeads, headWidth: headWidth,
      hidden: hidden, activation: .gelu, normEpsilon: 1e-6, rotary: nil, hasAttentionBiases: true, hasMLPBiases: true,
      head: TransformerHead(
        pooling: pooling, hasPooler: pooling == .cls, outputs: outputs, hasBias: true, isLanguageModel: false),
      trained: rank.map { .lora(LowRankAdaptation(rank: $0, alpha: 1, targets: ["query"])) } ?? .all,
      maximumTokens: maximumTokens, recomputes: false)
  }

  private var models: [TransformerDescription] {
    Self.extremes.flatMap { number in
      [
        forged(width: number), forged(blocks: number), forged(heads: number), forged(keyValueHeads: number),
        forged(headWidth: number), forged(hidden: number), forged(outputs: number), forged(maximumTokens: number),
        forged(rank: number), forged(width: number, headWidth: number), forged(outputs: number, pooling: .none),
        forged(
          width: number, blocks: min(number, 64), heads: min(number, 4096), keyValueHeads: 1,
          headWidth: min(number, 4096), hidden: number, outputs: number, maximumTokens: number, rank: number,
          pooling: .none),
      ]
    }
  }

  @Test func everyNumberAtAndBeyondItsBounds() throws {
    let stage = try SequenceStage()
    let trainer = stage.trainer(memoryLimit: 1 << 10, rowStoreLimit: 1 << 24)
    defer { trainer.shutDown() }
    for model in models {
      for microBatch in [1, 1 << 20] {
        for loss in [LossLocation.owner, .trainer] {
          var description = SequenceJob().changing { $0.loss = loss }.description
          description.task =
            loss == .trainer ? (model.head.pooling == .none ? .tokenClassification : .classification) : nil
          (description.batch, description.microBatch) = (max(6, microBatch), microBatch)
          description.stepsPerEpoch = microBatch == 1 ? 2 : 1
          let owner = stage.owner()
          try owner.send(version2: description, .transformer(model))
          let refusal = try owner.refusal()
          #expect([.refused, .usage].contains(refusal.kind), "\(model)")
          #expect(!refusal.reason.isEmpty)
        }
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: trainer.store.appending(path: "jobs").path).isEmpty)
  }
}
