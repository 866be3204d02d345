import Datasets
import Files
import Foundation
import Foundations
import Masking
import Models
import Numerics
import Protocol
import TestSupport
import Testing

@testable import OwnerRole

/// Jobs that the trainer runs by itself.
@Suite(.waiting, .timeLimit(.minutes(10))) struct TrainerLossTests {
  static let job = SmallJob().changing {
    $0.loss = .trainer
    $0.keep = .best
    $0.epochs = 4
  }

  private func retrieval(_ run: OwnedRun<Float>, on network: InProcessNetwork) throws -> DetachedRetrieval<Float> {
    let connection = run.connection(on: network)
    try connection.greet(patience: .seconds(60))
    return DetachedRetrieval(
      directory: run.directory, state: run.state, shape: run.prepared.shape,
      masterKey: { try run.state.masterKey(run.directory) }, connection: connection,
      compute: Compute(threads: 1))
  }

  /// Asks until the job is finished, at most 20 s.
  private func retrieve(
    _ run: OwnedRun<Float>, on network: InProcessNetwork, masked: Bool = false
  ) throws -> RunHistory {
    let deadline = ContinuousClock().now + .seconds(120)
    let retrieval = try retrieval(run, on: network)
    while true {
      do {
        return try retrieval.retrieve(masked: masked)
      } catch OwnerError.notFinished(_) where ContinuousClock().now < deadline {
        Thread.sleep(forTimeInterval: 0.05)
      }
    }
  }

  @Test func detachedAndRetrievedLater() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(Self.job)
    let undisturbed = try site.undisturbed(run)
    let report = try run.execute(over: site.network.connect(site.keys.ownerKey), detach: true)
    #expect(report == nil)
    #expect(try run.reopened().state.phase == .detached)
    let history = try retrieve(try run.reopened(), on: site.network)
    #expect(history.steps == 20)
    #expect(try run.reopened().state.phase == .finished)
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
    #expect(try FileManager.default.contentsOfDirectory(atPath: trainer.store.appending(path: "jobs").path).isEmpty)
  }

  /// Kept masked, the weights are not the model's, and the run's key opens them to the same bits later, without a trainer.
  @Test func retrievedMaskedAndOpenedLater() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    let run = try site.run(Self.job)
    let undisturbed = try site.undisturbed(run)
    _ = try run.execute(over: site.network.connect(site.keys.ownerKey), detach: true)
    // Its key is kept elsewhere meanwhile.
    let detached = try run.reopened()
    let elsewhere = site.directory.url("elsewhere.key")
    try FileManager.default.moveItem(at: run.directory.jobKey, to: elsewhere)
    #expect(throws: MaskingError.self) { _ = try retrieve(detached, on: site.network) }
    _ = try retrieve(detached, on: site.network, masked: true)
    trainer.shutDown()
    try FileManager.default.moveItem(at: elsewhere, to: run.directory.jobKey)
    let kept = try run.reopened()
    #expect(kept.state.phase == .masked)
    #expect(!FileManager.default.fileExists(atPath: kept.directory.model.path))
    let shape = kept.prepared.shape
    let keys = JobKeys<Float>(master: kept.master, plan: shape.keyPlan, compute: Compute(threads: 1))
    try MaskedResult(shape: shape).open(
      kept.directory, keys: keys,
      standardization: try ModelDirectory.readStandardization(kept.directory.standardization))
    #expect(try run.model() == undisturbed.model())
    let file = try SafetensorsFile(path: kept.directory.maskedWeights.path)
    for specification in shape.structure.parameters where specification.columns != nil {
      let masked: Tensor<Float> = try file.tensor(specification.name)
      #expect(try masked != keys.unmaskParameter(masked, specification), "\(specification.name) is masked")
    }
  }

  /// A file with a tensor of another shape is not opened.
  @Test func maskedWeightsOfAnotherJobAreRefused() throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job)
    let shape = run.prepared.shape
    let keys = JobKeys<Float>(master: run.master, plan: shape.keyPlan, compute: Compute(threads: 1))
    let wrong = shape.structure.parameters.map { SafetensorsTensor($0.name, Tensor<Float>(zeros: [1, 1])) }
    try SafetensorsFile.write(wrong, to: run.directory.maskedWeights.path)
    #expect {
      try MaskedResult(shape: shape).open(run.directory, keys: keys, standardization: nil)
    } throws: {
      ($0 as? OwnerError)?.description.contains("does not hold this job's weights") == true
    }
  }

  /// The trainer is restarted while nobody is there: it goes on by itself.
  @Test func restartedWhileDetached() throws {
    let site = try Site<Float>()
    let run = try site.run(Self.job.changing { $0.epochs = 40 })
    let undisturbed = try site.undisturbed(run)
    let first = site.trainer()
    try run.execute(over: site.network.connect(site.keys.ownerKey), detach: true)
    first.shutDown()
    let second = site.trainer()
    defer { second.shutDown() }
    _ = try retrieve(try run.reopened(), on: site.network)
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
  }

  @Test func retrievingWhatIsNotFinishedNamesTheStep() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob().changing { $0.loss = .trainer })
    let connection = run.connection(on: site.network)
    try connection.greet(patience: .seconds(60))
    try connection.send(.submit(run.prepared.description))
    let error = #expect(throws: OwnerError.self) { try self.retrieval(run, on: site.network).retrieve() }
    guard case .notFinished(let reason) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(reason.contains("step 0 of 50"))
  }

  /// The owner is cut off after every number of messages of its upload, and comes back.
  @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  func uploadInterruptedAndGoneOnWith(_ operations: Int) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(Self.job)
    let undisturbed = try site.undisturbed(run)
    _ = try? run.execute(over: MortalChannel(site.network.connect(site.keys.ownerKey), operations: 2 * operations))
    try run.reopened().execute(on: site.network)
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
  }

  /// The trainer forgets how much of the rows it had; it is sent again.
  @Test(arguments: [4, 6, 8, 10])
  func trainerRestartedInTheMiddleOfAnUpload(_ operations: Int) throws {
    let site = try Site<Float>()
    let first = site.trainer()
    let run = try site.run(Self.job)
    let undisturbed = try site.undisturbed(run)
    _ = try? run.execute(over: MortalChannel(site.network.connect(site.keys.ownerKey), operations: 2 * operations))
    first.shutDown()
    let second = site.trainer()
    defer { second.shutDown() }
    try run.reopened().execute(on: site.network)
    #expect(try run.model() == undisturbed.model())
    #expect(try run.history() == undisturbed.history())
  }

  @Test func historyWithBestEpochIsThatOfTheOwnersLoss() throws {
    let site = try Site<Double>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let there = try site.run(Self.job, name: "there")
    let here = try site.run(Self.job.changing { $0.loss = .owner }, name: "here")
    try there.execute(on: site.network)
    try here.execute(on: site.network)
    let (a, b) = (try there.history(), try here.history())
    #expect(a.count == b.count && a.count == 24)
    for (first, second) in zip(a, b) {
      switch (first, second) {
      case (.step(let s, let x, let r, let g, _), .step(let t, let y, let q, let h, _)):
        #expect(s == t && r == q)
        // Two trajectories under different keys, each within 1e-12 of the plaintext one.
        #expect(abs(x - y) < 1e-10 && abs(g - h) < 1e-10)
      case (.evaluation(let e, let s, let x, let m, let k, _), .evaluation(let f, let t, let y, let n, let l, _)):
        #expect(e == f && s == t && k == l && abs(x - y) < 1e-10)
        #expect(m["accuracy"] == n["accuracy"])
      default: Issue.record("records of different kinds")
      }
    }
  }

  @Test(arguments: ["rows", "labels", "plan"])
  func uploadsThatDoNotFitTheJob(_ part: String) throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let owner = RawOwner<Float>(site.network, site.keys.ownerKey, job: .random())
    var job = RawJob<Float>()
    job.description.lossLocation = .trainer
    job.description.task = .classification
    try owner.send(.submit(job.description))
    try job.upload(owner)
    let messages: [OwnerMessage<Float>] =
      switch part {
      case "rows":
        [
          .storeRows(firstSlot: 1, values: Tensor(zeros: [2, 5])),
          .storeRows(firstSlot: 0, values: Tensor(zeros: [2, 4])),
          .storeRows(firstSlot: 0, values: Tensor(zeros: [26, 5])),
          .storeRows(firstSlot: 0, values: Tensor(repeating: .nan, shape: [1, 5])),
        ]
      case "labels":
        [
          .storeTargets(firstSlot: 0, targets: .classes(Tensor([0, 3], shape: [2]))),
          .storeTargets(firstSlot: 0, targets: .classes(Tensor([-1], shape: [1]))),
          .storeTargets(firstSlot: 0, targets: .values(Tensor(zeros: [1, 3]))),
          .storeTargets(firstSlot: 4, targets: .classes(Tensor([0], shape: [1]))),
        ]
      default:
        [
          .storePlan(firstStep: 0, slots: Tensor(repeating: 20, shape: [1, 8])),
          .storePlan(firstStep: 0, slots: Tensor(repeating: -1, shape: [1, 8])),
          .storePlan(firstStep: 0, slots: Tensor(zeros: [1, 7])),
          .storePlan(firstStep: 1, slots: Tensor(zeros: [1, 8])),
        ]
      }
    for message in messages { #expect(try owner.refusal(of: message).kind == .refused) }
    #expect(try owner.refusal(of: .start).reason.contains("before everything is uploaded"))
    #expect(try owner.refusal(of: .attach(historySteps: 0)).kind == .refused)
  }
}

/// What is said of classes that are probably not meant.
@Suite(.waiting) struct LabelNoticeTests {
  private func notices(_ ids: [Int32], names: [String]?, classes: Int? = nil) -> [String] {
    JobLabels(.classes(ClassLabels(ids: ids, classCount: names?.count ?? classes ?? 0, names: names))).notices
  }

  @Test func classesWithoutRowsAreSaid() throws {
    let notices = notices([0, 3, 3], names: nil, classes: 5)
    #expect(notices.count == 1)
    #expect(try #require(notices.first).contains("3 of 5 classes have no row (class 1, 2, 4)"))
  }

  @Test(arguments: ["", "nan", "NaN", "None", "NA", "<NA>"])
  func namesOfMissingLabelsAreSaid(_ name: String) throws {
    let notices = notices([0, 1, 2, 0], names: [name, "a", "b"])
    #expect(notices.count == 1)
    #expect(try #require(notices.first).contains("2 rows have '\(name)' for a class"))
  }

  @Test func otherClassesAreNot() {
    #expect(notices([0, 1, 1], names: ["Nancy", "banana"]).isEmpty)
    #expect(notices([0, 1, 1], names: nil, classes: 2).isEmpty)
  }
}
