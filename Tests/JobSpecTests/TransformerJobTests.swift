import Foundation
import Foundations
import Models
import Testing

@testable import JobSpec

/// Jobs with a pretrained model.
@Suite struct TransformerJobTests {
  private func model(_ job: ResolvedJob) -> HuggingFaceModel? {
    if case .huggingFace(let model) = job.model { model } else { nil }
  }

  @Test func everyKeyResolves() throws {
    let fixture = try JobFixture()
    #expect(
      try fixture.resolve(JobFixture.transformer)
        == ResolvedJob(
          name: "sections", trainer: "tcp://127.0.0.1:5570",
          data: JobData(
            file: fixture.directory + "/rows.h5",
            inputs: .tokens(TokenColumns(ids: "input_ids", mask: "attention_mask", types: "token_type_ids")),
            labels: "labels", split: .modulo(by: "abstract", modulo: 5, equals: 4), standardize: false),
          task: .classification,
          model: .huggingFace(
            HuggingFaceModel(
              directory: fixture.directory + "/model", pool: .mean, classes: 4,
              train: .lora(LowRankAdaptation(rank: 4, alpha: 32, targets: ["query", "value"])))),
          masking: MaskingDescription(
            strength: .rotation, padding: 0, exact: true, shuffleTokens: true, baseModel: .private),
          lossLocation: .owner,
          optimizer: OptimizerDescription(
            kind: .sgd, learningRate: 0.03, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: 1),
          schedule: ScheduleDescription(warmup: 0.06, decay: .linear),
          train: JobTraining(
            epochs: 2, batch: 32, microBatch: 8, seed: 1, keep: .best, accumulate: 2, recompute: true),
          checkpointEverySteps: 100))
  }

  @Test func everyDefaultIsFilledIn() throws {
    let fixture = try JobFixture()
    let job = try fixture.resolve(JobFixture.smallestTransformer)
    #expect(job.data.inputs == .tokens(TokenColumns(ids: "ids")))
    #expect(
      model(job)
        == HuggingFaceModel(directory: fixture.directory + "/model", pool: nil, classes: nil, train: .all))
    #expect(
      job.masking == MaskingDescription(strength: .rotation, padding: 0, exact: true, baseModel: .private))
    #expect(job.train == JobTraining(epochs: 1, batch: 64, microBatch: 8, seed: 1, keep: .last))
  }

  @Test func theDefaultMicroBatchIsAtMostTheBatch() throws {
    #expect(try JobFixture().resolve(JobFixture.smallestTransformer, ["train.batch=3"]).train.microBatch == 3)
  }

  @Test func adaptersHaveARankAndAnAlphaByDefault() throws {
    let job = try JobFixture().resolve(
      JobFixture.smallestTransformer, ["model.train=lora", "model.lora.targets=[v_proj, q_proj, v_proj]"])
    #expect(model(job)?.train == .lora(LowRankAdaptation(rank: 8, alpha: 16, targets: ["q_proj", "v_proj"])))
  }

  @Test func anUpdateTakesTheRowsOfItsBatches() throws {
    let train = try JobFixture().resolve(JobFixture.transformer).train
    #expect(train.rowsPerStep == 64)
    #expect(try JobFixture().resolve(JobFixture.smallest, ["train.accumulate=4096"]).train.rowsPerStep == 64 * 4096)
  }

  @Test func aLanguageModelNeedsNoLabels() throws {
    let data = "data: {file: rows.h5, tokens: ids}"
    let job = try JobFixture().resolve(
      JobFixture.job(JobFixture.smallestTransformer, with: data), ["task=causal-lm"])
    #expect(job.data.labels == nil)
    #expect(job.task == .causalLanguageModel)
  }

  @Test(arguments: [
    "model.train=head", "model.head={pool: last}", "model.head={classes: 1000000}", "masking.base_model=public",
    "masking.noise.sigma=0.5", "masking={strength: none}", "masking={strength: input-only}",
    "masking.shuffle_tokens=false", "task=token-classification", "task=causal-lm", "data.mask=a b: #",
    "data={file: rows.h5, tokens: ids, types: t, labels: y}", "train.recompute=true", "train.accumulate=7",
    "model={huggingface: model, train: lora, lora: {alpha: 0.1, targets: [\"null\", \"1.5\", a-b.c_d]}}",
  ])
  func theResolvedTextParsesToTheSameJob(override: String) throws {
    let fixture = try JobFixture()
    let job = try fixture.resolve(JobFixture.smallestTransformer, [override])
    let text = job.yaml()
    #expect(try fixture.resolve(text) == job)
    #expect(try fixture.resolve(text).yaml() == text)
    #expect(try JSONDecoder().decode(ResolvedJob.self, from: JSONEncoder().encode(job)) == job)
  }

  @Test func theDirectoryIsRelativeToTheJobsFile() throws {
    let fixture = try JobFixture()
    let path = fixture.directory + "/small.yaml"
    try Data(JobFixture.smallestTransformer.utf8).write(to: URL(fileURLWithPath: path))
    #expect(model(try ResolvedJob.load(path: path))?.directory == fixture.directory + "/model")
  }

  @Test func anOverriddenDirectoryIsRelativeToTheWorkingDirectory() throws {
    let fixture = try JobFixture()
    let specification = try JobSpecification.parse(
      bytes: Array(JobFixture.smallestTransformer.utf8),
      overrides: ["data.file=./rows.h5", "model.huggingface=./model"])
    let job = try specification.resolved(jobDirectory: "/nowhere", workingDirectory: fixture.directory)
    #expect(model(job)?.directory == fixture.directory + "/model")
  }

  @Test func aLinkedDirectoryResolvesToItsTarget() throws {
    let fixture = try JobFixture()
    try FileManager.default.createSymbolicLink(atPath: fixture.directory + "/latest", withDestinationPath: "model")
    let job = try fixture.resolve(JobFixture.smallestTransformer, ["model.huggingface=latest"])
    #expect(model(job)?.directory == fixture.directory + "/model")
  }
}

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
      JobFixture.refusal(JobFixture.smallest, ["data.\(key)=m"]), "`data.\(key)` needs `data.tokens`")
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
