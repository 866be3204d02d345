import Models
import Files
import Datasets
import Foundations
import Foundation
import JobSpec
import Masking
import OwnerRole
import Protocol
import Testing
import TestSupport

/// Data, checkpoints and settings that do not fit each other are refused before anything is sent, with an error that says what.
@Suite struct TokenRefusalTests {
  private func refusal(_ job: TokenJob, _ data: (TemporaryDirectory) throws -> TokenData) throws -> any Failure {
    let directory = try TemporaryDirectory()
    let resolved = try job.resolved(on: try data(directory))
    do {
      _ = try PreparedJob(job: resolved, secret: try OrderSecret(ephemeralWithSeed: 1))
    } catch let failure as any Failure {
      return failure
    }
    Issue.record("accepted")
    return OwnerError.run("accepted")
  }

  @Test func checkpointThatChangedSinceTheRunBegan() throws {
    let site = try Site<Float>()
    let job = try TokenJob().resolved(on: TokenData(in: site.directory))
    let run = try OwnedRun<Float>(job, keys: site.keys, in: site.directory.url("run"))
    try run.state.check(run.prepared, run.directory)
    try TinyCheckpoint.write(.bert, to: site.directory.url("bert"), seed: 10)
    let later = try PreparedJob(job: job, secret: OrderSecret(owner: site.keys, seed: 1))
    #expect {
      try run.state.check(later, run.directory)
    } throws: { error in
      (error as? OwnerError)?.kind == .inputData && "\(error)".contains("checkpoint")
    }
    #expect(throws: OwnerError.self) { _ = try JobShape(job: job, data: run.state.data) }
  }

  @Test func tokenIdOutsideTheVocabulary() throws {
    let failure = try refusal(TokenJob()) { directory in
      try TokenData(in: directory) { row, ids, _, _ in if row == 7 { ids[1] = 20 } }
    }
    #expect(failure.kind == .inputData)
    #expect(failure.description.contains("7"))
    #expect(failure.description.contains("ids"))
  }

  @Test func rowOfPaddingAlone() throws {
    let failure = try refusal(TokenJob()) { directory in
      try TokenData(in: directory) { row, _, mask, _ in if row == 3 { mask = mask.map { _ in 0 } } }
    }
    #expect(failure.kind == .inputData)
    #expect(failure.description.contains("3"))
  }

  @Test func paddingBeforeTheTokensOfADecoder() throws {
    let failure = try refusal(TokenJob().changing { $0.family = .llama }) { directory in
      try TokenData(in: directory) { row, _, mask, _ in if row == 5 { mask[0] = 0 } }
    }
    #expect(failure.kind == .inputData)
  }

  /// The classes of the library pool the first column, whatever stands there.
  @Test func paddingBeforeTheTokenThatAnEncoderPools() throws {
    func data(_ directory: TemporaryDirectory) throws -> TokenData {
      try TokenData(in: directory) { row, _, mask, _ in if row == 5 { mask[0] = 0 } }
    }
    let failure = try refusal(TokenJob(), data)
    #expect(failure.kind == .inputData)
    #expect(failure.description.contains("row 5, column 0") && failure.description.contains("pool: mean"))
    // Where no column is pooled it changes nothing: positions are those of the columns.
    for job in [
      TokenJob().changing { $0.pool = .mean },
      TokenJob().changing { ($0.task, $0.classes) = (.tokenClassification, 3) },
    ] {
      let directory = try TemporaryDirectory()
      _ = try PreparedJob(
        job: try job.resolved(on: data(directory)), secret: try OrderSecret(ephemeralWithSeed: 1))
    }
  }

  @Test func tagsOfWhichNoneCounts() throws {
    let failure = try refusal(
      TokenJob().changing { ($0.task, $0.classes) = (.tokenClassification, 3) }
    ) { directory in
      // Tags are -100 for ids that are 3 modulo 4.
      try TokenData(in: directory) { _, ids, _, _ in ids = ids.map { _ in 3 } }
    }
    #expect(failure.kind == .inputData)
    #expect(failure.description.contains("'tags': every label is negative"))
  }

  @Test func textsOfOneTokenForALanguageModel() throws {
    let failure = try refusal(TokenJob().changing { ($0.family, $0.task) = (.llama, .causalLanguageModel) }) {
      directory in
      try TokenData(in: directory) { _, _, mask, _ in mask = mask.indices.map { $0 == 0 ? 1 : 0 } }
    }
    #expect(failure.kind == .inputData)
    #expect(failure.description.contains("causal-lm needs longer texts"))
  }

  /// Adapters would have to be divided by it: known before anything is trained.
  @Test func gainOfZeroBeforeAnAdapter() throws {
    let job = TokenJob().changing { ($0.family, $0.train) = (.llama, TokenJob.lora(["q_proj"])) }
    let norm = "model.layers.1.input_layernorm.weight"
    let failure = try refusal(job) { directory in
      try TinyCheckpoint.write(.llama, to: directory.url("llama"), zeroing: norm)
      return try TokenData(in: directory)
    }
    #expect(failure.kind == .inputData)
    #expect(failure.description.contains(norm) && failure.description.contains("model.train: all"))
    // No adapter reads this one.
    let directory = try TemporaryDirectory()
    try TinyCheckpoint.write(
      .llama, to: directory.url("llama"), zeroing: "model.layers.1.post_attention_layernorm.weight")
    _ = try PreparedJob(
      job: try job.resolved(on: TokenData(in: directory)), secret: try OrderSecret(ephemeralWithSeed: 1))
  }

  @Test func labelOutsideTheClasses() throws {
    let failure = try refusal(TokenJob().changing { $0.classes = 3 }) { directory in
      try TokenData(in: directory) { row, _, _, label in if row == 9 { label = 3 } }
    }
    #expect(failure.kind == .inputData)
    #expect(failure.description.contains("model.head.classes"))
  }

  @Test func adapterTargetThatDoesNotExist() throws {
    let failure = try refusal(TokenJob().changing { $0.train = TokenJob.lora(["q_proj"]) }) { try TokenData(in: $0) }
    #expect(failure.kind == .usage)
    #expect(failure.description.contains("q_proj"))
    for name in ["query", "key", "value", "dense"] { #expect(failure.description.contains(name)) }
  }

  @Test func languageModelOfAnEncoder() throws {
    let failure = try refusal(TokenJob().changing { ($0.task, $0.loss) = (.causalLanguageModel, .trainer) }) {
      try TokenData(in: $0)
    }
    #expect(failure.kind == .usage)
    #expect(failure.description.contains("task: causal-lm is not supported for bert models"))
  }

  @Test func firstTokenOfADecoder() throws {
    let failure = try refusal(TokenJob().changing { ($0.family, $0.pool) = (.llama, .cls) }) { try TokenData(in: $0) }
    #expect(failure.kind == .usage)
    #expect(failure.description.contains("cls is not supported for llama models; use last or mean"))
  }

  @Test func adamwUnderRotations() throws {
    let failure = try refusal(TokenJob().changing { $0.optimizer = SmallJob.adamw() }) { try TokenData(in: $0) }
    #expect(failure.description.contains("adamw"))
  }
}
