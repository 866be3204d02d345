import Datasets
import Foundation
import Foundations
import JobSpec
import Models
import Numerics
import TestSupport
import Testing

@testable import OwnerRole

/// Prompts and options that do not fit: one clear error, before anything is sent.
@Suite(.waiting, .timeLimit(.minutes(5))) struct GenerationInputTests {
  private let stage: GenerationStage<Float>
  private let deployment: Deployment<Float>

  init() throws {
    stage = try GenerationStage()
    let host = stage.host()
    defer { host.shutDown() }
    deployment = try stage.fixture.deployed(stage.source)
  }

  private func failure(
    _ texts: [[Int32]]? = nil, mostTokens: Int? = nil, columns: Int? = nil
  ) throws -> (any Failure)? {
    let file = try texts.map {
      try TinyTexts.write($0, to: stage.fixture.directory.url("bad.h5"), columns: columns)
    }
    var found: (any Failure)?
    // No host is there: what is wrong is found without one.
    do {
      _ = try stage.generation(deployment, to: "texts.h5", mostTokens: mostTokens, prompts: file)
    } catch let error as any Failure {
      found = error
    }
    #expect(found == nil || !stage.fixture.directory.url("texts.h5.partial").isThere)
    return found
  }

  @Test func idsOutsideTheVocabulary() throws {
    for id in [20, -1, Int32.max] {
      let error = try failure([[1, 2], [3, 4, 5], [6, id]])
      #expect(error?.kind == .inputData)
      #expect(error?.description.contains("row 2, column 1") == true, "\(String(describing: error))")
      #expect(error?.description.contains("ids are 0–19") == true)
    }
  }

  @Test func emptyPrompts() throws {
    let error = try failure([[1, 2], [], [3]])
    #expect(error?.kind == .inputData && error?.description.contains("row 1 is all padding") == true)
  }

  @Test func promptsThatLeaveNoRoom() throws {
    let long = [Int32](repeating: 1, count: 60)
    let asked = try failure([[1], long], mostTokens: 37)
    #expect(asked?.kind == .inputData)
    #expect(
      asked?.description.contains(
        "row 1: the prompt has 60 tokens, and --max-tokens asks for 37 more; the deployment takes at most 96") == true,
      "\(String(describing: asked))")
    #expect(try failure([[1], long], mostTokens: 36) == nil)
    try? FileManager.default.removeItem(at: stage.fixture.directory.url("texts.h5.partial"))
    let full = try failure([long + long.prefix(36)])
    #expect(full?.description.contains("row 0: the prompt has 96 tokens, which leaves no room for one more") == true)
    // More columns than the model has positions.
    let wide = try failure([long, long + long])
    #expect(wide?.kind == .inputData && wide?.description.contains("row 1") == true, "\(String(describing: wide))")
  }

  @Test func aDeploymentThatGeneratesNoText() throws {
    let fixture = try DeploymentFixture<Float>()
    let host = TrainerHost<Float>(on: fixture.network, store: fixture.directory.url("store"))
    defer { host.shutDown() }
    let data = try TokenData(in: fixture.directory)
    let tags = TokenJob().changing { ($0.family, $0.task) = (.llama, .tokenClassification) }
    for (name, job) in [
      ("rows", SmallJob().resolved(on: try SmallData(in: fixture.directory))), ("tags", try tags.resolved(on: data)),
    ] {
      try? FileManager.default.removeItem(at: fixture.directory.url("deployment"))
      _ = try fixture.deployed(fixture.source(fixture.finishedRun(job, name: name)))
      let asking = try DeploymentClient<Float>(
        fixture.given("ward"), own: fixture.clients[0].keys, compute: Compute(threads: 1))
      let error = #expect(throws: OwnerError.self) {
        _ = try Generation<Float>(
          GenerationRequest(
            prompts: data.file.path, features: nil, mostTokens: nil, sampling: TokenSampling(temperature: 0), seed: nil),
          client: asking, to: fixture.directory.url("texts.h5"), takeNumbers: { _, _ in 1 })
      }
      #expect(error?.kind == .usage && error?.description.contains("generates no text") == true)
    }
  }

  @Test(arguments: [0, -3, 1 << 40]) func nonsenseLimits(_ most: Int) throws {
    let error = try failure(mostTokens: most)
    #expect(error?.kind == .usage && error?.description.contains("--max-tokens must be 1") == true)
  }

  @Test(arguments: [-1, 1 << 53]) func nonsenseSeeds(_ seed: Int) throws {
    let error = #expect(throws: OwnerError.self) {
      _ = try GenerationRequest(
        prompts: "p.h5", features: nil, mostTokens: nil, sampling: TokenSampling(temperature: 1), seed: seed)
    }
    #expect(error?.kind == .usage)
  }

  /// Damaged, or no such file at all.
  @Test func keptTextsThatAreNone() throws {
    let partial = stage.fixture.directory.url("texts.h5.partial")
    let notes = Data("my notes, which are longer than a few bytes".utf8)
    try notes.write(to: partial)
    #expect(throws: (any Error).self) { _ = try stage.generation(deployment, to: "texts.h5") }
    #expect(try Data(contentsOf: partial) == notes)
    try FileManager.default.removeItem(at: partial)
    do {
      let begun = try stage.generation(deployment, to: "texts.h5")
      try begun.partial.add(3, row: 0)
      try begun.partial.add(4, row: 0)
      try begun.partial.add(-5, row: 2)
      try begun.partial.end(row: 0, isFinished: true)
    }
    let whole = try Data(contentsOf: partial)
    let again = try stage.generation(deployment, to: "texts.h5", seed: nil).partial
    #expect(try again.text(row: 0) == PartialTexts.Text(tokens: [3, 4], isFinished: true))
    #expect(again.tokens(row: 2) == [-5] && again.done == 1 && again.doneCount == 1 && again.longest == 2)
    #expect(again.subject.seed == 5)
    // Cut off anywhere: what is whole stays.
    for length in stride(from: 0, to: whole.count, by: 7) {
      try whole.prefix(length).write(to: partial)
      _ = try stage.generation(deployment, to: "texts.h5")
    }
    try whole.write(to: partial)
    for (mostTokens, seed) in [(20, 6), (19, 5)] {
      let error = #expect(throws: OwnerError.self) {
        _ = try stage.generation(deployment, to: "texts.h5", mostTokens: mostTokens, seed: seed)
      }
      #expect(error?.kind == .usage)
    }
  }
}
