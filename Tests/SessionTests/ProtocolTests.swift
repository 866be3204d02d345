import Models
import Foundations
import Foundation
import Numerics
import Testing
import TestSupport
import Protocol

/// Messages by hand: each is refused with a reason, and neither the trainer nor the job is the worse for it.
@Suite(.waiting, .timeLimit(.minutes(10))) struct ProtocolTests {
  typealias Job = RawJob<Float>

  private struct Stage {
    let site: Site<Float>
    let trainer: TrainerHost<Float>
    let owner: RawOwner<Float>
    var job = RawJob<Float>()

    init(memoryLimit: Int = 1 << 30, rowStoreLimit: Int = 1 << 24) throws {
      site = try Site<Float>()
      trainer = site.trainer(memoryLimit: memoryLimit, rowStoreLimit: rowStoreLimit)
      owner = RawOwner(site.network, site.keys.ownerKey, job: .random())
    }

    /// The job goes on from its checkpoint after whatever was refused.
    func expectResumable() throws {
      try owner.send(.submit(job.description))
      try job.attach(owner)
      try owner.send(.batch(step: 0, part: 0, rows: Job.rows(0..<4)))
      let outputs = try owner.wait { message in
        if case .outputs(0, 0, let values) = message { return values }
        return nil as Tensor<Float>?
      }
      #expect(outputs.shape == [4, 3])
    }
  }

  private func attached() throws -> Stage {
    let stage = try Stage()
    try stage.job.begin(stage.owner)
    return stage
  }

  @Test func aGradientBeforeItsOutputs() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    let refusal = try stage.owner.refusal(of: .gradient(step: 0, part: 0, values: Job.gradient()))
    #expect(refusal.kind == .refused && refusal.reason.contains("out of order"))
    try stage.expectResumable()
  }

  @Test func aPartOutOfOrder() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    let refusal = try stage.owner.refusal(of: .batch(step: 0, part: 1, rows: Job.rows(0..<4)))
    #expect(refusal.reason.contains("part 1 of step 0 where part 0 is due"))
    try stage.expectResumable()
  }

  @Test func aStepOutOfOrder() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    #expect(try stage.owner.refusal(of: .batch(step: 5, part: 0, rows: Job.rows(0..<4))).reason.contains("step 5"))
    try stage.expectResumable()
  }

  @Test func trainingWithoutAttaching() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    try stage.owner.send(.submit(stage.job.description))
    try stage.job.upload(stage.owner)
    let refusal = try stage.owner.refusal(of: .batch(step: 0, part: 0, rows: Job.rows(0..<4)))
    #expect(refusal.reason.contains("attach first"))
    try stage.expectResumable()
  }

  @Test func attachingBeforeTheWeights() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    try stage.owner.send(.submit(stage.job.description))
    #expect(try stage.owner.refusal(of: .attach(historySteps: 0)).reason.contains("before the starting weights"))
  }

  @Test func finishingBeforeTheEnd() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    #expect(try stage.owner.refusal(of: .finish).reason.contains("finish after 0 of 6 steps"))
    try stage.expectResumable()
  }

  @Test func anEvaluationInsideAStep() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    try stage.owner.send(.batch(step: 0, part: 0, rows: Job.rows(0..<4)))
    #expect(
      try stage.owner.refusal(of: .evaluate(epoch: 0, part: 0, rows: Job.rows(20..<25))).reason.contains(
        "inside a step"))
    try stage.expectResumable()
  }

  @Test func retrievingWhatIsNotFinished() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    #expect(try stage.owner.refusal(of: .retrieve(chunk: 0)).reason.contains("not finished"))
  }

  @Test func releasingAJobThatRuns() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    #expect(try stage.owner.refusal(of: .release).reason.contains("runs"))
  }

  // MARK: Shapes and values

  @Test func rowsOfAnotherWidth() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    let refusal = try stage.owner.refusal(of: .batch(step: 0, part: 0, rows: Job.rows(0..<4, width: 6)))
    #expect(refusal.reason.contains("rows are 6 wide, the job's input is 5"))
    try stage.expectResumable()
  }

  @Test func aPartOfAnotherSize() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    let refusal = try stage.owner.refusal(of: .batch(step: 0, part: 0, rows: Job.rows(0..<3)))
    #expect(refusal.reason.contains("has 3 rows where 4 are due"))
    try stage.expectResumable()
  }

  @Test(arguments: [Float.nan, .infinity])
  func aRowThatIsNotFinite(_ value: Float) throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    let refusal = try stage.owner.refusal(of: .batch(step: 0, part: 0, rows: Job.rows(0..<4, value: value)))
    #expect(refusal.reason.contains("a masked row holds NaN or infinity"))
    try stage.expectResumable()
  }

  @Test(arguments: [Float.nan, .infinity])
  func aGradientThatIsNotFinite(_ value: Float) throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    try stage.owner.send(.batch(step: 0, part: 0, rows: Job.rows(0..<4)))
    let refusal = try stage.owner.refusal(of: .gradient(step: 0, part: 0, values: Job.gradient(value: value)))
    #expect(refusal.reason.contains("NaN"))
    try stage.expectResumable()
  }

  @Test func aGradientOfAnotherShape() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    try stage.owner.send(.batch(step: 0, part: 0, rows: Job.rows(0..<4)))
    #expect(
      try stage.owner.refusal(of: .gradient(step: 0, part: 0, values: Job.gradient(columns: 2))).reason.contains(
        "[4, 3]"))
    try stage.expectResumable()
  }

  @Test func weightsOfAnotherShape() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    try stage.owner.send(.submit(stage.job.description))
    #expect(try stage.owner.refusal(of: .parameters(chunk: 0, values: Tensor(zeros: [6, 4]))).kind == .refused)
    // A new proposal starts the upload over.
    try stage.owner.send(.submit(stage.job.description))
    try stage.job.upload(stage.owner)
    try stage.expectResumable()
  }

  @Test func weightsThatAreNotFinite() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    try stage.owner.send(.submit(stage.job.description))
    let refusal = try stage.owner.refusal(of: .parameters(chunk: 0, values: Tensor(repeating: .nan, shape: [6, 5])))
    #expect(refusal.reason.contains("NaN"))
  }

  @Test func aSlotOutsideTheJob() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    #expect(
      try stage.owner.refusal(of: .batch(step: 0, part: 0, rows: Job.rows(22..<26))).reason.contains("slot 25 of 25"))
    try stage.expectResumable()
  }

  @Test func aRowReferredToThatWasNeverSent() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    let rows = RowDelivery<Float>(
      slots: Tensor([0, 1, 2, 3], shape: [4]), carried: Tensor(zeros: [4]), values: Tensor(zeros: [0, 5]))
    #expect(try stage.owner.refusal(of: .batch(step: 0, part: 0, rows: rows)).reason.contains("never sent"))
    try stage.expectResumable()
  }

  @Test func moreMessagesThanTheWindow() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    try stage.owner.send(.submit(stage.job.description))
    try stage.job.upload(stage.owner)
    let window = try stage.job.attach(stage.owner).window
    // Step 0 takes two parts; everything for the steps after it has to wait.
    for number in 0..<(window + 3) {
      try stage.owner.send(.batch(step: number / 2, part: number % 2, rows: Job.rows(0..<4)))
    }
    #expect(try stage.owner.refusal().reason.contains("window"))
  }

  // MARK: Frames

  @Test func garbageFrames() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    var random = SplitMix(seed: 9)
    for length in [0, 1, 23, 24, 100, 1000] {
      for frames in [1, 2, 5] {
        try stage.owner.channel.send(
          (0..<frames).map { _ in Data((0..<length).map { _ in UInt8.random(in: .min ... .max, using: &random) }) })
        #expect(try stage.owner.refusal().kind == .refused)
      }
    }
    // The same connection still trains.
    try stage.owner.send(.batch(step: 0, part: 0, rows: Job.rows(0..<4)))
    _ = try stage.owner.wait { message in
      if case .outputs = message { return true }
      return nil as Bool?
    }
  }

  @Test func everyTruncationOfAMessage() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    let frames = stage.owner.codec.frames(.batch(step: 0, part: 0, rows: Job.rows(0..<4)), job: stage.owner.job)
    for length in stride(from: 0, to: frames[0].count, by: 5) {
      try stage.owner.channel.send([frames[0].prefix(length)] + frames.dropFirst())
      #expect(try stage.owner.refusal().kind == .refused)
    }
    for count in 1..<frames.count {
      try stage.owner.channel.send(Array(frames.prefix(count)))
      #expect(try stage.owner.refusal().kind == .refused)
    }
    try stage.expectResumable()
  }

  @Test func anotherProtocolVersion() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    var frames = stage.owner.codec.frames(.hello(software: "x"), job: stage.owner.job)
    frames[0][4] = 7
    try stage.owner.channel.send(frames)
    let refusal = try stage.owner.refusal()
    #expect(refusal.kind == .refused && refusal.reason.contains("version 7"))
  }

  /// An owner of another release must stop with that reason, not wait.
  @Test func anOwnerOfAnotherVersionIsTold() throws {
    let site = try Site<Float>()
    let trainer = site.trainer()
    defer { trainer.shutDown() }
    let run = try site.run(SmallJob())
    site.network.setFault { transit in
      var message = transit.message
      // A trainer of before answers in its own version.
      message[0][4] = transit.direction == .toServer ? 9 : 2
      return [message]
    }
    let error = #expect(throws: (any Error).self) { try run.execute(on: site.network) }
    #expect((error as? any Failure)?.kind == .refused)
    #expect((error as? any Failure)?.description.contains("version 9") == true)
  }

  // MARK: Jobs

  @Test func aJobLargerThanTheMemoryLimit() throws {
    let stage = try Stage(memoryLimit: 1 << 20)
    defer { stage.trainer.shutDown() }
    var large = stage.job.description
    large.graph = .perceptron(features: 1000, hidden: [1000])
    let refusal = try stage.owner.refusal(of: .submit(large))
    #expect(refusal.kind == .refused)
    // Weights, gradients and momentum: three times a million floats and some, over the limit of 1 MiB.
    let numbers = refusal.reason.split(separator: " ").compactMap { Double($0) }
    #expect(numbers.contains { $0 > 11.4 && $0 < 16 })
    #expect(numbers.contains(1.0))
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: stage.trainer.store.appending(path: "jobs").path).isEmpty)
  }

  @Test func rowsBeyondTheRowStore() throws {
    let stage = try Stage(rowStoreLimit: 100)
    defer { stage.trainer.shutDown() }
    var job = stage.job.description
    job.lossLocation = .trainer
    job.task = .classification
    #expect(try stage.owner.refusal(of: .submit(job)).reason.contains("loss.where: owner"))
  }

  /// A graph is checked before anything is made of it, and the reason names the layer.
  @Test func aGraphThatCannotBe() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    let frames = stage.owner.codec.frames(.submit(stage.job.description), job: stage.owner.job)
    let document = String(decoding: frames[0].dropFirst(24), as: UTF8.self)
    for (old, new, reason) in [
      ("\"from\":1", "\"from\":7", "layer \"layers.1\": value 7 is not written before it"),
      ("\"width\":6", "\"width\":99999999999", "width of hidden.0 must be 1 … 16777216"),
      ("\"name\":\"layers.1\"", "\"name\":\"\"", "\"\" is not a valid name"),
      ("\"graph\"", "\"model\"", "cannot be read"),
    ] {
      let forged = document.replacingOccurrences(of: old, with: new)
      #expect(forged != document)
      try stage.owner.channel.send([frames[0].prefix(24) + Data(forged.utf8)])
      let refusal = try stage.owner.refusal()
      #expect(refusal.kind == .refused && refusal.reason.contains(reason), "\(refusal.reason)")
    }
  }

  @Test func aJobOutOfRange() throws {
    let stage = try Stage()
    defer { stage.trainer.shutDown() }
    var job = stage.job.description
    job.epochs = 0
    #expect(try stage.owner.refusal(of: .submit(job)).reason.contains("epochs must be"))
  }

  @Test func resubmissionWithAnotherDescription() throws {
    let stage = try attached()
    defer { stage.trainer.shutDown() }
    var other = stage.job.description
    other.epochs = 3
    #expect(try stage.owner.refusal(of: .submit(other)).reason.contains("another description"))
    try stage.expectResumable()
  }
}
