import Models
import Foundations
import Foundation
import Numerics
import Testing
import TestSupport
import Training
import Protocol

@testable import Service
@testable import TrainerRole

/// What a trainer turns away before anything is uploaded.
@Suite(.waiting, .timeLimit(.minutes(10))) struct SequenceAdmissionTests {
  private func refusal(
    memoryLimit: Int = 1 << 30, rowStoreLimit: Int = 1 << 24, _ description: JobDescription
  ) throws -> String {
    let stage = try SequenceStage()
    let trainer = stage.trainer(memoryLimit: memoryLimit, rowStoreLimit: rowStoreLimit)
    defer { trainer.shutDown() }
    let refusal = try stage.owner().refusal(of: .submit(description))
    #expect(refusal.kind == .refused)
    #expect(try FileManager.default.contentsOfDirectory(atPath: trainer.store.appending(path: "jobs").path).isEmpty)
    return refusal.reason
  }

  private func accepts(memoryLimit: Int, _ description: JobDescription) throws -> Bool {
    let stage = try SequenceStage()
    let trainer = stage.trainer(memoryLimit: memoryLimit)
    defer { trainer.shutDown() }
    let owner = stage.owner()
    try owner.send(.submit(description))
    return try owner.wait { message in
      if case .accepted(let missing, _, _) = message { return missing }
      return nil
    }
  }

  /// A model of Llama-2 7B's sizes: 32 × (4 · 4096² + 3 · 4096 · 11008) weights and the head.
  private func large(_ trained: TrainedPart, purpose: JobDescription.Purpose = .training) -> JobDescription {
    var description = SequenceJob().changing { $0.purpose = purpose }.description
    description.graph = .transformer(
      TransformerDescription(
        family: .llama, width: 4096, blocks: 32, heads: 32, keyValueHeads: 32, headWidth: 128, hidden: 11008,
        activation: .silu, normEpsilon: 1e-5,
        rotary: RotaryDescription(frequencies: (0..<64).map { 1 / Double(1 + $0) }), hasAttentionBiases: false,
        hasMLPBiases: false,
        head: TransformerHead(pooling: .last, hasPooler: false, outputs: 3, hasBias: false, isLanguageModel: false),
        trained: trained, maximumTokens: 128, recomputes: false))
    return description
  }

  @Test func aModelLargerThanTheMemoryLimitIsRefusedBeforeUpload() throws {
    let reason = try refusal(memoryLimit: 8 << 30, large(.all))
    let weights = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008) + 3 * 4096
    // Weights, gradients and momentum alone, in MiB; activations come on top.
    let least = 3 * 4 * Double(weights) / Double(1 << 20)
    let numbers = reason.split(separator: " ").compactMap { Double($0) }
    #expect(numbers.contains { $0 > least && $0 < 1.2 * least })
    #expect(numbers.contains(8192))
    #expect(reason.contains("train.micro_batch"))
  }

  /// Frozen weights have neither gradients nor optimizer state, and inference keeps nothing for a backward pass.
  @Test func whatIsNotTrainedCountsOnce() throws {
    let once = 4 * (32 * (4 * 4096 * 4096 + 3 * 4096 * 11008) + 3 * 4096)
    let limit = once + once / 4
    let lora = TrainedPart.lora(LowRankAdaptation(rank: 8, alpha: 8, targets: ["q_proj", "v_proj"]))
    #expect(try accepts(memoryLimit: limit, large(.head)))
    #expect(try accepts(memoryLimit: limit, large(lora)))
    #expect(try accepts(memoryLimit: limit, large(.all, purpose: .inference)))
    _ = try refusal(memoryLimit: limit, large(.all))
  }

  /// Rotary tables of 2^20 positions and heads of width 4096 take 143 MB: they count, and estimating does not make them.
  @Test func admissionLooksAtTheLimitBeforeItBuildsTheModelsTables() throws {
    var description = SequenceJob().description
    description.graph = .transformer(
      TransformerDescription(
        family: .llama, width: 8, blocks: 2, heads: 1, keyValueHeads: 1, headWidth: 4096, hidden: 12,
        activation: .silu, normEpsilon: 1e-5,
        rotary: RotaryDescription(frequencies: (0..<2048).map { 1 / Double(1 + $0) }), hasAttentionBiases: false,
        hasMLPBiases: false,
        head: TransformerHead(pooling: .last, hasPooler: false, outputs: 3, hasBias: false, isLanguageModel: false),
        trained: .head, maximumTokens: 1 << 20, recomputes: false))
    description.microBatch = 1
    let model = Model(description.graph)
    let admission = JobAdmission<Float>(
      configuration: TrainerConfiguration(
        service: ServiceConfiguration(store: FileManager.default.temporaryDirectory), compute: Compute(threads: 1),
        memoryLimit: 1 << 20, rowStoreLimit: 1 << 20, software: "test"), limits: OwnerLimits(), largestMessage: 64 << 20
    )
    let refusal = #expect(throws: ServiceError.self) { try admission.admit(description, model) }
    #expect(refusal?.kind == .refused)
    _ = JobDisk<Float>.bytesNeeded(description, model)
    #expect(model.madeTableCount == 0)
    let needed = try #require(JobAdmission<Float>.memoryEstimate(description))
    #expect(needed > 8 * 2 * 2048 * ((1 << 20) / 256 + 256))
  }

  @Test func smallerPartsTakeLessMemory() throws {
    var description = SequenceJob().description
    description.batch = 1000
    description.trainingRows = 1000
    description.stepsPerEpoch = 1
    description.microBatch = 1000
    func needed(_ description: JobDescription) throws -> Double {
      let words = try refusal(memoryLimit: 1 << 10, description).split(separator: " ")
      let place = try #require(words.firstIndex { Double($0) != nil })
      let unit = words.dropFirst(place + 1).first == "MiB" ? Double(1 << 20) : 1
      return try #require(Double(words[place])) * unit
    }
    let whole = try needed(description)
    description.microBatch = 50
    // Two parts of a twentieth, beside the weights and the block that inference works on.
    #expect(try needed(description) < 0.5 * whole)
  }

  /// Activations take half, and weights are there again as products take them.
  @Test func memoryIsCountedInTheJobsNumbers() throws {
    let whole = SequenceJob().description
    let narrow = JobDescription(
      purpose: whole.purpose, graph: whole.graph, optimizer: whole.optimizer, schedule: whole.schedule,
      lossLocation: whole.lossLocation, task: whole.task, epochs: whole.epochs, stepsPerEpoch: whole.stepsPerEpoch,
      batch: whole.batch, microBatch: whole.microBatch, keep: whole.keep,
      checkpointEverySteps: whole.checkpointEverySteps, trainingRows: whole.trainingRows,
      validationRows: whole.validationRows, totalTokens: whole.totalTokens, precision: .bfloat16)
    func engine(_ precision: ProductPrecision) throws -> Int {
      try #require(
        TrainingEngine<Float>.memoryEstimate(
          Model(whole.graph), optimizer: whole.optimizer, batchRows: whole.batch, partRows: whole.microBatch,
          compute: Compute(workers: Workers(threads: 1), precision: precision)))
    }
    let difference =
      try #require(JobAdmission<Float>.memoryEstimate(narrow)) - #require(JobAdmission<Float>.memoryEstimate(whole))
    #expect(try difference == engine(.bfloat16) - engine(.full))
    #expect(difference != 0)
  }

  @Test func tokensBeyondTheRowStore() throws {
    let job = SequenceJob().changing { $0.loss = .trainer }
    let description = job.description
    // 37 tokens of 8 floats are 1184 bytes.
    #expect(description.totalTokens == 37)
    #expect(try refusal(rowStoreLimit: 1100, description).contains("loss.where: owner"))
  }

  @Test func aMicroBatchThatNoMessageHolds() throws {
    var description = large(.head)
    description.microBatch = 6
    description.graph = .transformer(
      TransformerDescription(
        family: .bert, width: 4096, blocks: 1, heads: 1, keyValueHeads: 1, headWidth: 4096, hidden: 1,
        activation: .gelu, normEpsilon: 1e-6, rotary: nil, hasAttentionBiases: false, hasMLPBiases: false,
        head: TransformerHead(pooling: .cls, hasPooler: false, outputs: 3, hasBias: false, isLanguageModel: false),
        trained: .head, maximumTokens: 1024, recomputes: false))
    // 6 · 1024 · 4096 · 4 bytes are 96 MiB.
    let reason = try refusal(memoryLimit: 8 << 30, description)
    #expect(reason.contains("may take 96.0 MiB, a message holds 64.0 MiB; make train.micro_batch smaller, "))
    #expect(reason.contains("set loss.where: trainer, or cut the texts shorter"))
  }

  @Test func aLossThatDoesNotFitTheOutputs() throws {
    var pooled = SequenceJob().changing { $0.loss = .trainer }.description
    pooled.task = .tokenClassification
    #expect(try refusal(pooled).contains("token-classification needs an output for each token"))
    var perToken = SequenceJob().changing {
      $0.loss = .trainer; $0.pooling = .none
    }.description
    perToken.task = .classification
    #expect(try refusal(perToken).contains("classification needs one output for each sample"))
  }

  @Test func anAdapterTargetThatDoesNotExist() throws {
    let job = SequenceJob().changing {
      $0.trained = .lora(LowRankAdaptation(rank: 2, alpha: 2, targets: ["query", "q_proj"]))
    }
    let stage = try SequenceStage()
    let trainer = stage.trainer()
    defer { trainer.shutDown() }
    #expect(throws: GraphError.unknownTarget("q_proj", known: ["query", "key", "value", "dense"])) {
      try ModelDescription.transformer(job.transformer).graph()
    }
    // An owner of wire version 2 sends it as it is.
    let owner = stage.owner()
    try owner.send(version2: SequenceJob().description, .transformer(job.transformer))
    let refusal = try owner.refusal()
    #expect(refusal.kind == .refused)
    #expect(refusal.reason.contains("\"q_proj\"") && refusal.reason.contains("query, key, value"))
  }
}
