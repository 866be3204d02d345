import Foundations
import Foundation
import Testing

@testable import JobSpec

@Suite struct TransformerJobRefusalTests {
  private func refusal(_ section: String, _ overrides: [String] = []) -> JobSpecError? {
    JobFixture.refusal(JobFixture.job(JobFixture.smallestTransformer, with: section), overrides)
  }

  private func expectContradiction(
    _ error: JobSpecError?, _ words: String, sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) {
    guard case .contradiction(let sentence)? = error?.reason else {
      Issue.record("\(String(describing: error))", sourceLocation: sourceLocation)
      return
    }
    #expect(sentence.contains(words), sourceLocation: sourceLocation)
    #expect(error?.location != nil, sourceLocation: sourceLocation)
  }

  @Test func theJobsThemselvesAreAccepted() {
    #expect(JobFixture.refusal(JobFixture.smallestTransformer) == nil)
    #expect(JobFixture.refusal(JobFixture.transformer) == nil)
  }

  @Test func featuresBesideTokens() {
    expectContradiction(
      JobFixture.refusal(JobFixture.smallest, ["data.tokens=ids"]), "two kinds of input")
    expectContradiction(
      refusal("data: {file: f, features: x, tokens: ids, labels: y}"), "`model.huggingface` reads `data.tokens`")
  }

  @Test func accumulationBeyondTheRowsOfAStep() {
    expectContradiction(refusal("train: {batch: 1048576, accumulate: 4096}"), "must be at most 1048576")
    expectContradiction(refusal("train: {batch: 512, accumulate: 2049}"), "`train.accumulate` (1049088)")
    #expect(refusal("train: {batch: 512, accumulate: 2048}") == nil)
  }

  @Test func tokensWithAnMLP() {
    let text = JobFixture.smallest(with: "data: {file: f, tokens: ids, labels: y}")
    expectContradiction(JobFixture.refusal(text), "`data.tokens` needs `model.huggingface`")
  }

  @Test func featuresWithAPretrainedModel() {
    expectContradiction(
      refusal("data: {file: f, features: x, labels: y}"), "`data.features` is for `model.mlp`")
  }

  @Test(arguments: [(JobFixture.smallest, "data.features"), (JobFixture.smallestTransformer, "data.tokens")])
  func noInputs(job: String, key: String) {
    guard
      case .missingKey(key, _)? = JobFixture.refusal(JobFixture.job(job, with: "data: {file: f, labels: y}"))?.reason
    else {
      Issue.record("accepted")
      return
    }
  }

  @Test(arguments: ["mask", "types"])
  func maskOrTypesWithoutTokens(key: String) {
    expectContradiction(
      JobFixture.refusal(JobFixture.smallest, ["data.\(key)=m"]), "`data.\(key)` stands beside `data.tokens`")
  }

  @Test func standardizedTokens() {
    expectContradiction(
      refusal("data: {file: f, tokens: ids, labels: y, standardize: true}"), "tokens have no mean")
  }

  @Test func paddedTokens() {
    expectContradiction(
      refusal("masking: {padding: 1, base_model: public}"), "`masking.padding` is for `model.mlp`")
  }

  @Test(arguments: ["token-classification", "causal-lm"])
  func anMLPWithATaskForTokens(task: String) {
    expectContradiction(
      JobFixture.refusal(JobFixture.smallest, ["task=\(task)"]), "`task: \(task)` needs `model.huggingface`")
  }

  @Test(arguments: ["classification", "regression", "multilabel", "token-classification"])
  func noLabels(task: String) {
    guard case .missingKey("data.labels", _)? = refusal("data: {file: f, tokens: ids}", ["task=\(task)"])?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test func twoModels() {
    expectContradiction(refusal("model: {huggingface: m, mlp: {hidden: [8]}}"), "two models")
  }

  @Test(arguments: [
    "model.head.pool=cls", "model.head.classes=2", "model.train=all", "model.lora.rank=8", "model.lora.alpha=16",
    "model.lora.targets=[query]", "masking.shuffle_tokens=true", "masking.base_model=public", "train.recompute=true",
  ])
  func aKeyOfPretrainedModelsWithAnMLP(override: String) {
    expectContradiction(JobFixture.refusal(JobFixture.smallest, [override]), "needs `model.huggingface`")
  }

  @Test(arguments: ["token-classification", "causal-lm"])
  func aPooledHeadWithAnOutputForEveryToken(task: String) {
    expectContradiction(
      refusal("model: {huggingface: m, head: {pool: cls}}", ["task=\(task)"]), "has an output for every token")
  }

  @Test func classesOfALanguageModel() {
    expectContradiction(
      refusal("model: {huggingface: m, head: {classes: 2}}", ["task=causal-lm"]), "the model's vocabulary")
  }

  @Test func adaptersWithoutTargets() {
    guard case .missingKey("model.lora.targets", _)? = refusal("model: {huggingface: m, train: lora}")?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test(arguments: [
    ("model: {huggingface: m, train: some}", "one of all, head, lora"),
    ("model: {huggingface: m, head: {pool: none}}", "one of cls, mean, last"),
    ("model: {huggingface: m, head: {classes: 0}}", "an integer from 1 to 1000000"),
    ("model: {huggingface: m, lora: {rank: 4097}}", "an integer from 1 to 4096"),
    ("model: {huggingface: m, lora: {alpha: 0}}", "a number above 0"),
    ("model: {huggingface: m, lora: {targets: []}}", "a list of 1 to 64 names"),
    ("model: {huggingface: m, lora: {targets: [a b]}}", "a list of 1 to 64 names"),
    ("masking: {base_model: secret}", "one of public, private"),
    ("train: {accumulate: 0}", "an integer from 1 to 4096"),
    ("train: {accumulate: 4097}", "an integer from 1 to 4096"),
  ])
  func outOfRangeStatesTheDocumentedRange(section: String, range: String) {
    refusal(section).expectOutOfRange(range)
  }

  @Test(arguments: [
    ("model: {huggingface: m, lora: {targets: query}}", "a list of names", "text"),
    ("model: {huggingface: m, lora: {targets: [[query]]}}", "a list of names", "a list"),
    ("model: {huggingface: m, lora: {targets: [~]}}", "a list of names", "nothing"),
    ("model: {huggingface: [m]}", "text", "a list"),
    ("model: {huggingface: m, head: cls}", "a mapping of keys", "text"),
    ("masking: {shuffle_tokens: 1}", "true or false", "an integer"),
  ])
  func wrongType(section: String, expected: String, found: String) {
    refusal(section).expectWrongType(expected, found)
  }

  @Test(arguments: [
    ("model: {hugingface: m}", "model.huggingface"),
    ("model: {huggingface: m, head: {pools: cls}}", "model.head.pool"),
    ("model: {huggingface: m, lora: {target: [a]}}", "model.lora.targets"), ("data: {token: ids}", "data.tokens"),
    ("masking: {shuffle: true}", nil), ("train: {accumulat: 2}", "train.accumulate"),
    ("model: {huggingface: m, rank: 4}", "model.lora.rank"),
  ])
  func anUnknownKeySuggestsTheNearestKnownOne(section: String, suggestion: String?) {
    guard case .unknownKey(_, let suggested, _)? = refusal(section)?.reason else {
      Issue.record("\(section): \(String(describing: refusal(section)))")
      return
    }
    #expect(suggested == suggestion)
  }

  @Test func aMissingDirectory() throws {
    let fixture = try JobFixture()
    let error = #expect(throws: JobSpecError.self) {
      try fixture.resolve(JobFixture.smallestTransformer, ["model.huggingface=none"])
    }
    #expect(error?.reason == .missingDirectory(key: "model.huggingface", path: fixture.directory + "/none"))
    #expect(error?.kind == .usage)
  }

  @Test func aFileWhereADirectoryIsDue() throws {
    let fixture = try JobFixture()
    let error = #expect(throws: JobSpecError.self) {
      try fixture.resolve(JobFixture.smallestTransformer, ["model.huggingface=rows.h5"])
    }
    #expect(error?.reason == .notADirectory(key: "model.huggingface", path: fixture.directory + "/rows.h5"))
  }

  @Test func aDirectoryWithoutAConfiguration() throws {
    let fixture = try JobFixture()
    try FileManager.default.removeItem(atPath: fixture.directory + "/model/config.json")
    let error = #expect(throws: JobSpecError.self) { try fixture.resolve(JobFixture.smallestTransformer) }
    #expect(
      error?.reason == .missingFile(key: "model.huggingface", path: fixture.directory + "/model/config.json"))
  }
}
