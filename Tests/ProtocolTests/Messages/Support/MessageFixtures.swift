import Foundation
import Foundations
import Models
import Numerics

@testable import Protocol

/// One message of every kind, with numbers that differ from each other and from defaults.
enum MessageFixtures {
  static let job = JobID(bytes: (0..<16).map { UInt8($0) })

  static let graph: ModelGraph = {
    do {
      return try .perceptron(
        input: HomogeneousColumns(features: 5, padding: 2), adapter: 11, hidden: [7, 3], activation: .gelu, outputs: 4)
    } catch {
      preconditionFailure("\(error)")
    }
  }()

  static let description = JobDescription(
    purpose: .training,
    graph: graph,
    optimizer: OptimizerDescription(
      kind: .muon, learningRate: 0.02, momentum: 0.95, nesterov: false, weightDecay: 0.01, clipNorm: 1.5),
    schedule: ScheduleDescription(warmup: 0.06, decay: .cosine), lossLocation: .trainer, task: .classification,
    epochs: 3, stepsPerEpoch: 4, batch: 6, microBatch: 2, keep: .best, checkpointEverySteps: 9, trainingRows: 20,
    validationRows: 8)

  static let privateDescription: JobDescription = {
    var job = description
    (job.lossLocation, job.task, job.keep, job.stepsPerEpoch) = (.owner, nil, .last, 5)
    job.optimizer = OptimizerDescription(
      kind: .sgd, learningRate: 0.02, momentum: 0.5, nesterov: false, weightDecay: 0, clipNorm: nil)
    job.privacy = NoiseSeed((0..<32).map { 200 + $0 }).map {
      StepPrivacy(clipNorm: 0.75, expectedBatch: 4, noiseMultiplier: 1.25, seed: $0)
    }
    return job
  }()

  /// A round of a federation: pulled, offset, and in the middle of a schedule.
  static let roundDescription: JobDescription = {
    var job = description
    (job.lossLocation, job.task, job.keep) = (.owner, nil, .last)
    job.schedule = job.schedule.continued(SchedulePart(firstStep: 24, totalSteps: 60))
    job.correction = StepCorrection(proximalStrength: 0.25, hasOffsets: true)
    return job
  }()

  static let narrowDescription: JobDescription = {
    JobDescription(
      purpose: .training, graph: graph, optimizer: description.optimizer, schedule: description.schedule,
      lossLocation: .trainer, task: .classification, epochs: 3, stepsPerEpoch: 4, batch: 6, microBatch: 2, keep: .best,
      checkpointEverySteps: 9, trainingRows: 20, validationRows: 8, precision: .bfloat16)
  }()

  static let rows = RowDelivery<Float>(
    slots: Tensor([4, 0, 9], shape: [3]), carried: Tensor([1, 0, 1], shape: [3]),
    values: Tensor([1.5, -2, 0.25, 3], shape: [2, 2]))

  static let owner: [OwnerMessage<Float>] =
    ofDeployments + [
      .hello(software: "encryptor 1 · ünïcode"),
      .submit(description),
      .submit(privateDescription),
      .submit(roundDescription),
      .submit(narrowDescription),
      .step(step: 25, rows: 26),
      .parameters(chunk: 2, values: Tensor([1, 2, 3], shape: [3])),
      .attach(historySteps: 41),
      .batch(step: 11, part: 12, rows: rows),
      .gradient(step: 13, part: 14, values: Tensor([0.5, -0.5], shape: [1, 2])),
      .evaluate(epoch: 15, part: 16, rows: rows),
      .keep(epoch: 17),
      .commit(step: 18),
      .save,
      .storeRows(firstSlot: 19, values: Tensor([1, 2, 3, 4], shape: [2, 2])),
      .storeTargets(firstSlot: 20, targets: .classes(Tensor([3, 1], shape: [2]))),
      .storeTargets(firstSlot: 21, targets: .values(Tensor([0.5, 2], shape: [2, 1]))),
      .storePlan(firstStep: 22, slots: Tensor([0, 1, 2, -1], shape: [2, 2])),
      .start,
      .follow(from: 23),
      .finish,
      .retrieve(chunk: 24),
      .status,
      .cancel,
      .release,
      .ping,
      .leave,
    ]

  static let trainer: [TrainerMessage<Float>] =
    answersOfDeployments + [
      .welcome(TrainerGreeting(software: "trainer 1", kernel: "SkylakeX", threads: 2, memoryLimit: 1 << 33)),
      .accepted(missingParameters: true, storedRows: 31, storedSteps: 32),
      .refused(kind: .exhausted, reason: "the disk is full"),
      .queued(position: 33),
      .attached(step: 34, residentRows: 35, window: 36, kernel: "AVX2, OpenBLAS Haswell"),
      .outputs(step: 37, part: 38, values: Tensor([1, 2], shape: [2, 1])),
      .stepApplied(step: 39, gradientNorm: 0.125, learningRate: 0.75),
      .evaluated(epoch: 40, part: 41, values: Tensor([1, 2], shape: [1, 2])),
      .checkpointed(step: 42),
      .stored(count: 43),
      .progress(
        from: 44,
        records: [
          .step(step: 1, loss: 0.5, learningRate: 0.1, gradientNorm: 2, seconds: 0.25),
          .evaluation(epoch: 0, step: 2, loss: 0.4, metrics: ["accuracy": 0.75], kept: true, seconds: 0.5),
        ]),
      .parameters(chunk: 45, values: Tensor([9, 8], shape: [2])),
      .finished,
      .status(
        JobStatus(
          state: .queued, step: 46, totalSteps: 47, queuePosition: 48, storedBytes: 49, processorSeconds: 1.5,
          failure: "why")),
      .removed,
      .goodbye(step: 50), .goodbye(step: 51, reason: .preempted), .goodbye(step: 52, reason: .turnEnded),
      .pong,
    ]
}

/// A header put together by hand, so that it can be wrong in one place.
struct Header {
  var magic: [UInt8] = Array("EQTR".utf8)
  var version: UInt16 = 6
  var kind: UInt8
  var tensorCount: UInt8 = 0
  var job = [UInt8](repeating: 7, count: 16)
  /// Type, rank and dimensions of each tensor.
  var descriptors: [UInt8] = []
  var fields: [UInt8] = []

  var data: Data {
    Data(magic + Self.bytes(version) + [kind, tensorCount] + job + descriptors + fields)
  }

  static func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }

  static func descriptor(type: UInt8 = 1, _ dimensions: UInt64...) -> [UInt8] {
    [type, UInt8(dimensions.count)] + dimensions.flatMap { bytes($0) }
  }

  static func index(_ value: UInt64) -> [UInt8] { bytes(value) }
}
