import Families
import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import TestSupport
import Testing

@testable import OwnerRole

/// What can be deployed beside a job's run: directories of the libraries, and a site's run.
@Suite(.waiting) struct ModelSourceTests {
  private let fixture: DeploymentFixture<Float>
  private let data: TokenData

  init() throws {
    fixture = try DeploymentFixture()
    data = try TokenData(in: fixture.directory)
  }

  /// Two ways to the same model differ by how gains are multiplied in: a rounding or two of weights of order 1.
  private func expectSame(_ left: ModelSource, _ right: ModelSource, _ name: String) throws {
    let (left, right) = (try left.open(), try right.open())
    let found = try PlaintextModel<Float>(left).outputs(try samples())
    let expected = try PlaintextModel<Float>(right).outputs(try samples())
    #expect(found.count == expected.count, "\(name)")
    for (row, other) in zip(found, expected) {
      #expect(row.count == other.count && zip(row, other).allSatisfy { abs($0 - $1) <= 1e-5 }, "\(name)")
    }
    #expect(left.questionShape.outputs == right.questionShape.outputs)
    #expect(left.questionShape.tokens == right.questionShape.tokens, "\(name)")
  }

  private func samples() throws -> [[Token]] {
    [[3, 7, 1], [5, 5, 2, 19, 4, 8]].map { ids in
      ids.enumerated().map { Token(id: Int32($0.element), position: Int32($0.offset)) }
    }
  }

  @Test(arguments: [
    TokenJob(), TokenJob().changing { $0.pool = .mean }, TokenJob().changing { $0.task = .tokenClassification },
    TokenJob().changing { $0.hasPooler = false }, TokenJob().changing { $0.family = .llama },
    TokenJob().changing { ($0.family, $0.task) = (.llama, .causalLanguageModel) },
    TokenJob().changing { $0.train = TokenJob.lora(["query", "dense"]) },
    TokenJob().changing { $0.family = .roberta }, TokenJob().changing { $0.family = .electra },
    TokenJob().changing { ($0.family, $0.train) = (.distilbert, TokenJob.lora(["q_lin", "lin1"])) },
    TokenJob().changing { ($0.family, $0.train) = (.roberta, TokenJob.lora(["query", "dense"])) },
    TokenJob().changing { ($0.family, $0.train) = (.llama, TokenJob.lora(["q_proj", "down_proj"])) },
  ]) func aDirectoryOfTheLibraries(_ job: TokenJob) throws {
    let run = try fixture.finishedRun(try job.resolved(on: data))
    let checkpoint = try fixture.source(run.appending(path: "model"), task: job.task, pool: job.pool, maximumTokens: 10)
    #expect(checkpoint.kind == .checkpoint)
    try expectSame(checkpoint, try fixture.source(run, maximumTokens: 10), "\(job)")
  }

  /// With its norms' gains where they were.
  @Test func aCheckpointThatNoJobHasTouched() throws {
    let job = TokenJob().changing { ($0.family, $0.task) = (.llama, .causalLanguageModel) }
    let run = try fixture.finishedRun(try job.resolved(on: data))
    try expectSame(
      try fixture.source(fixture.directory.url("llama"), task: .causalLanguageModel, maximumTokens: 10),
      try fixture.source(run, maximumTokens: 10), "llama")
  }

  @Test func directoriesThatAreNoModel() throws {
    _ = try TokenJob().resolved(on: data)
    _ = try TokenJob().changing { $0.hasPooler = false }.resolved(on: data)
    let bert = fixture.directory.url("bert")
    #expect(throws: OwnerError.self) { _ = try fixture.source(bert) }
    #expect(throws: OwnerError.self) { _ = try fixture.source(fixture.directory.url("")) }
    func refusal(_ root: URL, _ task: LearningTask, _ pool: TokenPooling? = nil) -> OwnerError? {
      #expect(throws: OwnerError.self) { _ = try fixture.source(root, task: task, pool: pool).open() }
    }
    #expect(refusal(bert, .classification)?.description.contains("no `classifier.weight`") == true)
    #expect(refusal(bert, .causalLanguageModel)?.kind == .usage)
    #expect(refusal(bert, .tokenClassification, .mean)?.kind == .usage)
    #expect(refusal(fixture.directory.url("bert-bare"), .classification)?.description.contains("has no pooler") == true)
    let adapters = fixture.directory.url("adapters")
    try FileManager.default.createDirectory(at: adapters, withIntermediateDirectories: true)
    for (settings, problem) in [
      (
        #"{"peft_type": "LORA", "base_model_name_or_path": "meta/nowhere", "target_modules": ["query"]}"#,
        "meta/nowhere"
      ),
      (#"{"peft_type": "IA3", "base_model_name_or_path": "x", "target_modules": ["query"]}"#, "peft_type"),
      (
        #"{"peft_type": "LORA", "base_model_name_or_path": "x", "target_modules": ["q"], "use_dora": true}"#, "use_dora"
      ),
      (#"{"peft_type": "LORA", "base_model_name_or_path": "x", "target_modules": "all-linear"}"#, "target_modules"),
    ] {
      try Data(settings.utf8).write(to: adapters.appending(path: "adapter_config.json"))
      try SafetensorsFile.write(
        [SafetensorsTensor("x", Tensor<Float>(zeros: [1]))],
        to: adapters.appending(path: "adapter_model.safetensors").path)
      let error = #expect(throws: (any Error).self) {
        _ = try fixture.source(adapters, task: .classification).open()
      }
      #expect((error as? any Failure)?.kind == .inputData)
      #expect((error as? any Failure)?.description.contains(problem) == true, "\(problem)")
    }
  }

  /// Adapters without the head that was trained with them: their directory is named, not that of the base.
  @Test func adaptersWithoutAHead() throws {
    let run = try fixture.finishedRun(
      try TokenJob().changing { $0.train = TokenJob.lora(["query"]) }.resolved(on: data))
    let model = run.appending(path: "model")
    let file = model.appending(path: "adapter_model.safetensors").path
    let tensors: NamedTensors<Float> = try SafetensorsFile(path: file).tensors()
    let left = tensors.filter { !$0.name.contains("classifier") }
    #expect(left.count < tensors.count)
    try SafetensorsFile.write(left.map { SafetensorsTensor($0.name, $0.tensor) }, to: file)
    let error = #expect(throws: OwnerError.self) { _ = try fixture.source(model, task: .classification).open() }
    #expect(error?.description.hasPrefix("\(model.path) has no `") == true, "\(error?.description ?? "")")
  }

  /// A site's job masks nothing when it trains itself, and its run keeps no sizes: the deployment is masked all the same.
  @Test func aSitesRun() throws {
    let rows = try SmallData(in: fixture.directory)
    let job = SmallJob().changing { ($0.strength, $0.padding) = (.none, 0) }
    let run = try fixture.finishedRun(job.resolved(on: rows))
    let expected = try PlaintextModel<Float>(try fixture.source(run).open()).outputs(rows.features)
    let directory = RunDirectory(root: run)
    try FileManager.default.removeItem(at: directory.runState)
    try Data("{}".utf8).write(to: directory.siteIdentity)
    let source = try fixture.source(run)
    #expect(source.kind == .site)
    #expect(throws: OwnerError.self) { _ = try source.open() }
    try Data("{}".utf8).write(to: directory.summary)
    let model = try source.open()
    #expect(model.job.masking.strength == .rotation && model.keyPlan.input.group == .orthogonal)
    #expect(model.keyPlan.input.homogeneous?.padding == 1)
    let found = try PlaintextModel<Float>(model).outputs(rows.features)
    #expect(zip(found, expected).allSatisfy { zip($0, $1).allSatisfy { abs($0 - $1) <= 1e-5 } })
  }

  /// Nothing is trained on a host: keys are as large as the layers and the strength that is asked for allow.
  @Test func keysDoNotDependOnTheJobsOptimizer() throws {
    let rows = try SmallData(in: fixture.directory)
    let job = SmallJob().changing { ($0.strength, $0.optimizer) = (.permutation, SmallJob.adamw()) }
    let run = try fixture.finishedRun(job.resolved(on: rows))
    #expect(try fixture.source(run).open().keyPlan.input.group == .permutation)
    #expect(try fixture.source(run, strength: .rotation).open().keyPlan.input.group == .orthogonal)
    // The host picks the largest outputs of a language model.
    let decoder = TokenJob().changing { ($0.family, $0.task) = (.llama, .causalLanguageModel) }
    let text = try fixture.finishedRun(try decoder.resolved(on: data), name: "text")
    #expect(try fixture.source(text).open().keyPlan.output.group == .permutation)
  }
}
