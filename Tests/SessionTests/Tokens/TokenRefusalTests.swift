import Architecture
import Checkpoints
import Datasets
import Failures
import Foundation
import JobSpec
import Masking
import OwnerSession
import Testing

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
    #expect(failure.description.contains("decoder"))
  }

  @Test func firstTokenOfADecoder() throws {
    let failure = try refusal(TokenJob().changing { ($0.family, $0.pool) = (.llama, .cls) }) { try TokenData(in: $0) }
    #expect(failure.kind == .usage)
  }

  @Test func adamwUnderRotations() throws {
    let failure = try refusal(TokenJob().changing { $0.optimizer = SmallJob.adamw() }) { try TokenData(in: $0) }
    #expect(failure.description.contains("adamw"))
  }
}
