import Models
import Foundations
import Foundation
import Numerics
import Protocol

/// Input bytes as the frames of a message: each frame after its length in 16 bits, the last as long as there are bytes.
enum FrameInput {
  private static let codec = MessageCodec<Float>(limits: WireLimits(tensorBytes: 1 << 16, headerBytes: 1 << 14))

  static func run(_ input: Data) {
    let frames = frames(of: input)
    if let (job, message) = try? codec.ownerMessage(frames) {
      let sent = codec.frames(message, job: job)
      let again = try? codec.ownerMessage(sent)
      precondition(again?.job == job, "a message that was taken is not taken again")
      precondition(again.map { codec.frames($0.message, job: job) } == sent, "a message changed on its way")
    }
    if let (job, message) = try? codec.trainerMessage(frames) {
      let sent = codec.frames(message, job: job)
      let again = try? codec.trainerMessage(sent)
      precondition(again?.job == job, "a message that was taken is not taken again")
      precondition(again.map { codec.frames($0.message, job: job) } == sent, "a message changed on its way")
    }
  }

  /// The input that `run` takes apart into `frames`.
  static func input(of frames: [Data]) -> Data {
    frames.reduce(into: Data()) { input, frame in
      withUnsafeBytes(of: UInt16(clamping: frame.count).littleEndian) { input.append(contentsOf: $0) }
      input.append(frame)
    }
  }

  static func frames(of input: Data) -> [Data] {
    var rest = input[...]
    var frames: [Data] = []
    while let low = rest.popFirst() {
      let count = Int(low) | Int(rest.popFirst() ?? 0) << 8
      frames.append(rest.prefix(count))
      rest = rest.dropFirst(count)
    }
    return frames
  }
}

/// Input bytes as the parts of a message on its way, cut like the frames of `FrameInput`.
enum EnvelopeInput {
  private static let options: TransportOptions = {
    var options = TransportOptions()
    // Small, so that inputs of some bytes have frames of several pieces.
    options.pieceBytes = 8
    options.maximumFrameBytes = 64
    options.maximumFrames = 6
    return options
  }()

  static func run(_ input: Data) {
    guard case .message(let message) = try? MessageEnvelope.read(FrameInput.frames(of: input), options: options) else {
      return
    }
    let again = try? MessageEnvelope.read(parts(of: message), options: options)
    precondition(again == .message(message), "a message changed on its way")
  }

  static func parts(of message: [Data]) -> [Data] {
    MessageEnvelope.parts(of: message, pieceBytes: options.pieceBytes)
  }

  static let seeds: [Data] = [[Data()], [Data([1, 2, 3])], [Data(count: 20), Data(), Data(repeating: 7, count: 8)]]
    .map { FrameInput.input(of: parts(of: $0)) }
}

/// Messages of every kind, as `FrameInput` takes them.
enum MessageSeeds {
  static func inputs() throws -> [Data] {
    let codec = MessageCodec<Float>()
    let job = JobID.random()
    let rows = RowDelivery<Float>(
      slots: Tensor([1, 0], shape: [2]), carried: Tensor([1, 0], shape: [2]), values: Tensor([1, 2], shape: [1, 2]))
    let values = Tensor<Float>([1, 2], shape: [1, 2])
    let owner: [OwnerMessage<Float>] = [
      .hello(software: "owner"), .submit(try description()), .submit(try privateDescription()), .step(step: 1, rows: 2),
      .parameters(chunk: 1, values: values),
      .attach(historySteps: 2),
      .batch(step: 1, part: 2, rows: rows), .gradient(step: 1, part: 2, values: values),
      .evaluate(epoch: 1, part: 2, rows: rows), .keep(epoch: 1), .commit(step: 1), .save,
      .storeRows(firstSlot: 1, values: values),
      .storeTargets(firstSlot: 1, targets: .classes(Tensor([1], shape: [1]))),
      .storeTargets(firstSlot: 1, targets: .values(values)),
      .storePlan(firstStep: 1, slots: Tensor([1, -1], shape: [1, 2])), .start, .follow(from: 1), .finish,
      .retrieve(chunk: 1), .status, .cancel, .release, .ping, .leave,
    ]
    let records: [ProgressRecord] = [
      .step(step: 1, loss: 0.5, learningRate: 0.1, gradientNorm: .infinity, seconds: 1),
      .evaluation(epoch: 1, step: 2, loss: 0.5, metrics: ["accuracy": .nan], kept: true, seconds: 1),
    ]
    let trainer: [TrainerMessage<Float>] = [
      .welcome(TrainerGreeting(software: "trainer", kernel: "Haswell", threads: 2, memoryLimit: 1)),
      .accepted(missingParameters: true, storedRows: 1, storedSteps: 2), .refused(kind: .exhausted, reason: "full"),
      .queued(position: 1), .attached(step: 1, residentRows: 2, window: 3),
      .outputs(step: 1, part: 2, values: values), .stepApplied(step: 1, gradientNorm: 0.5, learningRate: 0.1),
      .evaluated(epoch: 1, part: 2, values: values), .checkpointed(step: 1), .stored(count: 1),
      .progress(from: 1, records: records), .parameters(chunk: 1, values: values), .finished,
      .status(JobStatus(state: .failed, step: 1, totalSteps: 2, queuePosition: 3, storedBytes: 4, failure: "why")),
      .removed, .goodbye(step: 1), .pong,
    ]
    return try version2() + (owner + ownerOfDeployments()).map { FrameInput.input(of: codec.frames($0, job: job)) }
      + (trainer + trainerOfDeployments).map { FrameInput.input(of: codec.frames($0, job: job)) }
      + owner.map { FrameInput.input(of: codec.frames($0, job: job, narrowingValues: true)) }
      + trainer.map { FrameInput.input(of: codec.frames($0, job: job, narrowingValues: true)) }
  }

  private static let clientKey = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"

  private static func ownerOfDeployments() throws -> [OwnerMessage<Float>] {
    let rows = RowDelivery<Float>(
      slots: Tensor([0], shape: [1]), carried: Tensor([1], shape: [1]), values: Tensor([1, 2], shape: [1, 2]))
    let sequences = RowDelivery<Float>(
      slots: Tensor([0], shape: [1]), lengths: Tensor([2], shape: [1]), pooled: Tensor([1], shape: [1]),
      values: Tensor([1, 2, 3, 4], shape: [2, 2]))
    var hosted = try description()
    (hosted.purpose, hosted.lossLocation, hosted.task, hosted.keep) = (.hosting, .owner, nil, .last)
    (hosted.epochs, hosted.stepsPerEpoch, hosted.trainingRows, hosted.batch) = (1, 1, 0, hosted.microBatch)
    return [
      .submit(hosted),
      .deployment(
        .deploy(
          DeploymentDescription(
            revision: 1,
            clients: [.init(key: clientKey, copy: .random(), keyNumber: 1, package: Data([1, 2, 3]))], maximumRows: 9))),
      .deployment(.status), .deployment(.list), .deployment(.undeploy), .question(.open),
      .question(.ask(number: 1, keyNumber: 2, rows: rows)), .question(.ask(number: 1, keyNumber: 2, rows: sequences)),
      .question(
        .extend(session: 1, keyNumber: 2, position: 3, largest: 4, tokens: Tensor([1, 2, 3, 4], shape: [2, 2]))),
      .question(.close(session: 1)),
    ]
  }

  private static var trainerOfDeployments: [TrainerMessage<Float>] {
    let status = DeploymentStatus(
      id: .random(), revision: 1, clients: [.init(key: clientKey, keyNumber: 1, questions: 2, rows: 3)], questions: 2,
      rows: 3, maximumRows: nil, storedBytes: 4, memoryBytes: 5, medianMilliseconds: 1, slowMilliseconds: nil)
    let terms = DeploymentTerms(
      keyNumber: 1, package: Data([1, 2]), window: 8, rowsPerQuestion: 9, maximumTokens: 10, rowsSeen: 11,
      maximumRows: 12, lastQuestion: 13)
    let outputs = Tensor<Float>([1, 2], shape: [1, 2])
    return [
      .deployment(.deployed(status)), .deployment(.list([status])), .deployment(.opened(terms)),
      .deployment(.answered(number: 1, rowsSeen: 2, values: outputs)),
      .deployment(
        .extended(session: 1, position: 2, rowsSeen: 3, indices: Tensor([4, 1], shape: [2]), values: outputs)),
      .deployment(.sessionLost(session: 1)), .deployment(.rekeyed(terms)),
    ]
  }

  private static func description() throws -> JobDescription {
    try JobDescription(
      purpose: .training,
      graph: .perceptron(
        input: HomogeneousColumns(features: 5, padding: 1), hidden: [7, 3], activation: .relu, outputs: 4),
      optimizer: OptimizerDescription(
        kind: .sgd, learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.01, clipNorm: 1),
      schedule: ScheduleDescription(warmup: 0.1, decay: .linear), lossLocation: .trainer, task: .classification,
      epochs: 2, stepsPerEpoch: 3, batch: 4, microBatch: 2, keep: .best, checkpointEverySteps: 5, trainingRows: 10,
      validationRows: 2)
  }

  private static func privateDescription() throws -> JobDescription {
    var job = try description()
    (job.lossLocation, job.task, job.keep) = (.owner, nil, .last)
    job.optimizer = OptimizerDescription(
      kind: .sgd, learningRate: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.01, clipNorm: nil)
    job.privacy = NoiseSeed([UInt8](repeating: 9, count: NoiseSeed.byteCount)).map {
      StepPrivacy(clipNorm: 1, expectedBatch: 4, noiseMultiplier: 1.5, seed: $0)
    }
    return job
  }

  /// Proposals of a job as owners of wire version 2 made them.
  private static func version2() -> [Data] {
    let rest =
      #""optimizer":{"kind":"sgd","learningRate":0.1,"momentum":0.9,"nesterov":false,"weightDecay":0},"schedule":{"warmup":0,"#
      + #""decay":"none"},"lossLocation":"owner","epochs":1,"stepsPerEpoch":3,"batch":4,"microBatch":2,"keep":"last","#
      + #""checkpointEverySteps":5,"trainingRows":10,"validationRows":2,"totalTokens":0}"#
    let head = #""head":{"pooling":"cls","hasPooler":true,"outputs":3,"hasBias":true,"isLanguageModel":false}"#
    let models = [
      #"{"mlp":{"_0":{"input":{"features":5,"padding":1},"adapter":2,"hidden":[7],"activation":"relu","outputs":4}}}"#,
      #"{"transformer":{"_0":{"family":"bert","width":4,"blocks":2,"heads":2,"keyValueHeads":2,"headWidth":2,"hidden":3,"#
        + #""activation":"gelu","normEpsilon":1e-6,"hasAttentionBiases":true,"hasMLPBiases":true,"# + head
        + #","trained":{"lora":{"_0":{"rank":1,"alpha":2,"targets":["query"]}}},"maximumTokens":4,"recomputes":true}}}"#,
    ]
    return models.map { model in
      let document = #"{"purpose":"training","model":"# + model + "," + rest
      let header = Array("EQTR".utf8) + [2, 0, 2, 0] + [UInt8](repeating: 1, count: 16)
      return FrameInput.input(of: [Data(header) + Data(document.utf8)])
    }
  }
}
