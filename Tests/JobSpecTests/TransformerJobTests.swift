import Models
import Foundation
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
