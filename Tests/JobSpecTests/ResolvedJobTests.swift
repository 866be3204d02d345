import Foundation
import Models
import Testing

@testable import JobSpec

@Suite struct ResolvedJobTests {
  @Test func theInterfacesExampleResolves() throws {
    let fixture = try JobFixture()
    let job = try fixture.resolve(JobFixture.example)
    #expect(
      job
        == ResolvedJob(
          name: "tox21", trainer: "tcp://127.0.0.1:5570",
          data: JobData(
            file: fixture.directory + "/rows.h5", inputs: .features("fingerprints"), labels: "labels",
            split: .fraction(validation: 0.2, seed: 7), standardize: false),
          task: .multilabel, model: .mlp(hidden: [512, 128], activation: .relu),
          masking: MaskingDescription(strength: .rotation, padding: 1, exact: true), lossLocation: .owner,
          optimizer: OptimizerDescription(
            kind: .sgd, learningRate: 0.2, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: 1),
          schedule: ScheduleDescription(warmup: 0.06, decay: .linear),
          train: JobTraining(epochs: 8, batch: 64, microBatch: 16, seed: 1, keep: .best),
          checkpointEverySteps: 100))
  }

  @Test func everyDefaultIsFilledIn() throws {
    let fixture = try JobFixture()
    let job = try fixture.resolve(JobFixture.smallest)
    #expect(job.trainer == "tcp://127.0.0.1:5570")
    #expect(job.data.split == .fraction(validation: 0.2, seed: 0))
    #expect(!job.data.standardize)
    #expect(job.model == .mlp(hidden: [], activation: .relu))
    #expect(job.masking == MaskingDescription(strength: .rotation, padding: 1, exact: true))
    #expect(job.lossLocation == .owner)
    #expect(
      job.optimizer
        == OptimizerDescription(
          kind: .sgd, learningRate: 0.1, momentum: 0.9, nesterov: false, weightDecay: 0, clipNorm: nil))
    #expect(job.schedule == ScheduleDescription(warmup: 0, decay: .none))
    #expect(job.train == JobTraining(epochs: 1, batch: 64, microBatch: 64, seed: 1, keep: .last))
    #expect(job.checkpointEverySteps == 100)
  }

  @Test func theDefaultMicroBatchIsAtMost256() throws {
    let fixture = try JobFixture()
    #expect(try fixture.resolve(JobFixture.smallest, ["train.batch=1024"]).train.microBatch == 256)
  }

  @Test func muonHasItsOwnMomentum() throws {
    let fixture = try JobFixture()
    #expect(try fixture.resolve(JobFixture.smallest, ["optimizer.name=muon"]).optimizer.momentum == 0.95)
    #expect(try fixture.resolve(JobFixture.smallest, ["optimizer.name=adamw"]).optimizer.momentum == 0)
  }

  @Test(arguments: [
    "data.split={by: abstract, modulo: 5, equals: 4}", "data.split={validation_rows: split/validation}",
    "optimizer={name: muon, lr: 1e-3, clip_norm: none}", "optimizer={name: adamw, lr: 5.0e-324, weight_decay: 0.01}",
    "optimizer={lr: 0.1, nesterov: true}", "model.mlp.activation=tanh", "masking.strength=input-only",
    "data.features=obs[a \"quoted\" \\ name: # \u{2028} é]", "schedule.warmup=-0.0", "train.seed=4294967295",
    "loss.where=trainer", "masking.adapter.width=1048576", "masking={strength: none, padding: 0, adapter: {width: 1}}",
    "masking.noise.sigma=1e-300", "masking.noise={sigma: 1000}", "audit.gate.known_rows_min=1000000000",
    "audit={gate: {membership_max: 0, matching_max: 1, key_error_min: 2}}",
  ])
  func theResolvedTextParsesToTheSameJob(override: String) throws {
    let fixture = try JobFixture()
    let job = try fixture.resolve(JobFixture.smallest, [override])
    let text = job.yaml()
    #expect(try fixture.resolve(text) == job)
    #expect(try fixture.resolve(text).yaml() == text)
    #expect(try JSONDecoder().decode(ResolvedJob.self, from: JSONEncoder().encode(job)) == job)
  }

  /// A key that the resolved text left out would silently take its default when the text is read back.
  @Test func theResolvedTextHoldsEveryKeyThatApplies() throws {
    let fixture = try JobFixture()
    let texts = try [
      JobFixture.example, JobFixture.transformer, JobFixture.defended, SurvivalJobTests.job, PrivateJobTests.job,
    ].map {
      try fixture.resolve($0).yaml()
    }
    let keys = try texts.map { Set(try JobSpecification.parse(bytes: Array($0.utf8)).keys) }
    let all = Set(JobFields.all.map(\.path))
    #expect(all.subtracting(keys.reduce(into: Set()) { $0.formUnion($1) }) == ["data.split.validation_rows"])
    #expect(keys[0].symmetricDifference(keys[1]).isSuperset(of: ["data.features", "data.tokens"]))
    #expect(keys[0].isSuperset(of: try JobSpecification.parse(bytes: Array(JobFixture.example.utf8)).keys))
    #expect(keys[1].isSuperset(of: try JobSpecification.parse(bytes: Array(JobFixture.transformer.utf8)).keys))
  }

  @Test func loadTakesPathsRelativeToTheJobsFile() throws {
    let fixture = try JobFixture()
    let path = fixture.directory + "/small.yaml"
    try Data(JobFixture.smallest.utf8).write(to: URL(fileURLWithPath: path))
    #expect(try ResolvedJob.load(path: path).data.file == fixture.directory + "/rows.h5")
  }

  @Test func anOverriddenPathIsRelativeToTheWorkingDirectory() throws {
    let fixture = try JobFixture()
    let specification = try JobSpecification.parse(
      bytes: Array(JobFixture.smallest.utf8), overrides: ["data.file=./rows.h5"])
    let job = try specification.resolved(jobDirectory: "/nowhere", workingDirectory: fixture.directory)
    #expect(job.data.file == fixture.directory + "/rows.h5")
  }

  @Test func aLinkedFileResolvesToItsTarget() throws {
    let fixture = try JobFixture()
    try FileManager.default.createSymbolicLink(
      atPath: fixture.directory + "/latest.h5", withDestinationPath: "rows.h5")
    let job = try fixture.resolve(JobFixture.smallest, ["data.file=../\(lastPart(fixture.directory))/latest.h5"])
    #expect(job.data.file == fixture.directory + "/rows.h5")
  }

  private func lastPart(_ path: String) -> String { (path as NSString).lastPathComponent }
}

@Suite struct JobFieldTests {
  @Test func everyConstantDefaultIsWithinItsDocumentedRange() throws {
    for field in JobFields.all where JobSchema.fields[field.path] != nil {
      guard field.defaultText != "required", !field.defaultText.contains(" ") else { continue }
      let specification = try JobSpecification.parse(
        bytes: Array("name: x".utf8), overrides: ["\(field.path)=\(field.defaultText)"])
      #expect(specification.keys.contains(field.path))
    }
  }

  @Test func theReferenceHasALineForEveryKey() {
    let lines = JobFieldDescription.reference.split(separator: "\n")
    #expect(lines.count == JobFields.all.count + 2)
    #expect(
      JobFieldDescription.reference.contains(
        "| `train.epochs` | an integer from 1 to 100000 | 1 | Passes over the training rows. |"))
  }

  @Test func editDistancesByHand() {
    #expect(EditDistance.between("epochs", "epoch") == 1)
    #expect(EditDistance.between("", "abc") == 3)
    #expect(EditDistance.between("abc", "") == 3)
    #expect(EditDistance.between("btach", "batch") == 1)
    #expect(EditDistance.between("kitten", "sitting") == 3)
  }

  @Test func numbersAreDecimalOnly() {
    #expect(NumberText.integer("+12") == 12)
    #expect(NumberText.integer("0x10") == nil)
    #expect(NumberText.integer("99999999999999999999") == nil)
    #expect(NumberText.number("1.5e-3")?.value == 0.0015)
    #expect(NumberText.number(".5")?.value == 0.5)
    #expect(NumberText.number("2.")?.value == 2)
    #expect(NumberText.number("1e999")?.overflows == true)
    for text in ["", ".", "-", "1e", "1e+", "nan", "inf", "0x1p3", "1_000", "1 ", "--1", ".e1"] {
      #expect(NumberText.number(text) == nil, "\(text)")
    }
  }

  @Test func endpoints() {
    for text in ["tcp://localhost:1", "tcp://[::1]:65535", "tcp://10.0.0.1:5570", "tcp://a-b.c_d:80"] {
      #expect(TrainerAddress.isValid(text), "\(text)")
    }
    for text in [
      "", "tcp://", "tcp://:1", "tcp://h", "tcp://h:", "tcp://h:0", "tcp://h:65536", "tcp://h:+1", "tcp://h:1/x",
      "ipc://h:1", "tcp://a b:1", "tcp://*:1", "tcp://[]:1", "tcp://[x]:1", "tcp://-h:1", "tcp://h:99999999999999",
    ] {
      #expect(!TrainerAddress.isValid(text), "\(text)")
    }
  }
}
