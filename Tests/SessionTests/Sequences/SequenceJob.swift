import Foundation
import Foundations
import Models
import Numerics
import Protocol
import TestSupport
import Testing
import Training

extension ModelGraph {
  /// The graph of a description whose sizes can be.
  static func transformer(_ description: TransformerDescription) -> ModelGraph {
    do {
      return try ModelDescription.transformer(description).graph()
    } catch {
      preconditionFailure("\(error)")
    }
  }
}

/// A job on sequences to speak about by hand: a small BERT or Llama, 10 samples in batches of 6 as parts of 2, 3 more for
/// validation, of 1 to 5 tokens.
struct SequenceJob {
  typealias Element = Float

  static let width = 8
  static let maximumTokens = 5

  var trained = TrainedPart.all
  var pooling = TokenPooling.cls
  var recomputes = false
  var loss = LossLocation.owner
  var epochs = 2
  var keep = KeepPolicy.last
  var checkpointEverySteps = 100
  var purpose = JobDescription.Purpose.training

  var isPerToken: Bool { pooling == .none }

  func changing(_ change: (inout SequenceJob) -> Void) -> SequenceJob {
    var copy = self
    change(&copy)
    return copy
  }

  var transformer: TransformerDescription {
    TransformerDescription(
      family: .bert, width: Self.width, blocks: 2, heads: 2, keyValueHeads: 2, headWidth: 4, hidden: 12,
      activation: .gelu, normEpsilon: 1e-6, rotary: nil, hasAttentionBiases: true, hasMLPBiases: true,
      head: TransformerHead(
        pooling: pooling, hasPooler: pooling == .cls, outputs: 3, hasBias: true, isLanguageModel: false),
      trained: trained, maximumTokens: Self.maximumTokens, recomputes: recomputes)
  }

  var description: JobDescription {
    let isTraining = purpose == .training
    return JobDescription(
      purpose: purpose, graph: .transformer(transformer), optimizer: SmallJob.sgd(clip: 1),
      schedule: ScheduleDescription(warmup: 0, decay: .none), lossLocation: loss,
      task: loss == .trainer ? (isPerToken ? .tokenClassification : .classification) : nil,
      epochs: isTraining ? epochs : 1, stepsPerEpoch: isTraining ? 2 : 1, batch: 6, microBatch: 2, keep: keep,
      checkpointEverySteps: checkpointEverySteps, trainingRows: isTraining ? 10 : 0, validationRows: 3,
      totalTokens: Self.lengths(0..<(isTraining ? 13 : 3)).reduce(0) { $0 + Int($1) })
  }

  var specifications: [ParameterSpecification] {
    get throws { Model(description.graph).structure.parameters }
  }

  var parameters: [Tensor<Element>] {
    get throws {
      try specifications.enumerated().map { index, parameter in
        Tensor(Self.noise(parameter.shape.reduce(1, *), seed: UInt64(index)), shape: parameter.shape)
      }
    }
  }

  // MARK: - Samples

  static func noise(_ count: Int, seed: UInt64) -> [Element] {
    var random = SplitMix(seed: seed)
    return (0..<count).map { _ in Element.random(in: -1...1, using: &random) }
  }

  static func lengths(_ slots: some Sequence<Int>) -> [Int32] {
    slots.map { Int32(1 + ($0 * 3) % maximumTokens) }
  }

  static func pooled(_ slots: some Sequence<Int>) -> [Int32] {
    zip(lengths(slots), slots).map { Int32($1) % $0 }
  }

  static func tokens(_ slots: some Sequence<Int>) -> Tensor<Element> {
    let rows = slots.flatMap { noise(Int(lengths([$0])[0]) * width, seed: UInt64(1000 + $0)) }
    return Tensor(rows, shape: [rows.count / width, width])
  }

  static func delivery(_ slots: [Int]) -> RowDelivery<Element> {
    RowDelivery(
      slots: vector(slots.map { Int32($0) }), lengths: vector(lengths(slots)), pooled: vector(pooled(slots)),
      values: tokens(slots))
  }

  static func vector(_ values: [Int32]) -> Tensor<Int32> {
    Tensor(values, shape: [values.count])
  }

  static func layout(_ slots: [Int]) -> SequenceLayout {
    let offsets = lengths(slots).reduce(into: [0]) { $0.append(($0.last ?? 0) + Int($1)) }
    return SequenceLayout(offsets: offsets, pooled: zip(offsets, pooled(slots)).map { $0 + Int($1) })
  }

  /// A class for each sample, or for each token with some that do not count.
  func labels(_ slots: some Sequence<Int>) -> [Int32] {
    guard isPerToken else { return slots.map { Int32($0 % 3) } }
    return slots.flatMap { slot in (0..<Int(Self.lengths([slot])[0])).map { Int32((slot + $0) % 4) - 1 } }
  }

  /// The batches of the plan, and their parts.
  static func batch(step: Int) -> [Int] {
    step % 2 == 0 ? [9, 1, 4, 0, 7, 2] : [3, 8, 5, 6]
  }

  static func parts(step: Int) -> [[Int]] {
    let batch = batch(step: step)
    return stride(from: 0, to: batch.count, by: 2).map { Array(batch[$0..<$0 + 2]) }
  }

  /// What the test's owner answers: pulls every output to a quarter.
  static func gradient(_ outputs: Tensor<Element>) -> Tensor<Element> {
    Tensor(outputs.elements.map { ($0 - 0.25) / 6 }, shape: outputs.shape)
  }

  // MARK: - Conversation

  func upload(_ owner: RawOwner<Element>) throws {
    for (chunk, tensor) in try parameters.enumerated() { try owner.send(.parameters(chunk: chunk, values: tensor)) }
    let due = try parameters.count
    _ = try owner.wait { message in
      if case .stored(due) = message { return true }
      return nil as Bool?
    }
  }

  @discardableResult
  func attach(_ owner: RawOwner<Element>, historySteps: Int = 0) throws -> (step: Int, resident: Int, window: Int) {
    try owner.send(.attach(historySteps: historySteps))
    return try owner.wait { message in
      if case .attached(let step, let resident, let window, _) = message { return (step, resident, window) }
      return nil
    }
  }

  func begin(_ owner: RawOwner<Element>) throws {
    try owner.send(.submit(description))
    try upload(owner)
    try attach(owner)
  }

  static func outputs(_ owner: RawOwner<Element>, step: Int, part: Int) throws -> Tensor<Element> {
    try owner.wait { message in
      if case .outputs(step, part, let values) = message { return values }
      return nil
    }
  }

  /// One step with the loss here; all inputs are sent at once.
  func step(_ owner: RawOwner<Element>, _ step: Int) throws {
    let parts = Self.parts(step: step)
    for (number, slots) in parts.enumerated() {
      try owner.send(.batch(step: step, part: number, rows: Self.delivery(slots)))
    }
    for number in parts.indices {
      let outputs = try Self.outputs(owner, step: step, part: number)
      try owner.send(.gradient(step: step, part: number, values: Self.gradient(outputs)))
    }
    _ = try owner.wait { message in
      if case .stepApplied(step, _, _) = message { return true }
      return nil as Bool?
    }
  }

  /// The resulting weights: those that are trained.
  func retrieve(_ owner: RawOwner<Element>) throws -> [Tensor<Element>] {
    try specifications.filter(\.isTrained).indices.map { chunk in
      try owner.send(.retrieve(chunk: chunk))
      return try owner.wait { message in
        if case .parameters(chunk, let values) = message { return values }
        return nil
      }
    }
  }

  // MARK: - The same without a trainer

  func engine(threads: Int = 1) throws -> TrainingEngine<Element> {
    let description = description
    return try TrainingEngine(
      model: description.graph, optimizer: description.optimizer, schedule: description.schedule,
      totalSteps: description.totalSteps, batchRows: description.batch, partRows: description.microBatch,
      compute: Compute(threads: threads), parameters: parameters)
  }

  static func forward(_ engine: TrainingEngine<Element>, _ slots: [Int], rows: Range<Int>) throws -> Tensor<Element> {
    try engine.forward(rows: rows, sequences: layout(slots)) { target in
      _ = target.update(fromContentsOf: tokens(slots).elements)
    }
  }

  /// A step of the owner's loss; or of cross-entropy where the loss is the trainer's.
  func step(_ engine: TrainingEngine<Element>) throws {
    let batch = Self.batch(step: engine.step)
    let observed = labels(batch).count { $0 >= 0 }
    try engine.beginBatch(rows: batch.count)
    for (number, slots) in Self.parts(step: engine.step).enumerated() {
      let rows = 2 * number..<2 * number + 2
      let outputs = try Self.forward(engine, slots, rows: rows)
      var gradient = Self.gradient(outputs)
      if let task = description.task {
        gradient = try LossFunction(task: task).evaluate(
          outputs: outputs, targets: .classes(labels(slots)), normalizer: Double(observed)
        ).gradient
      }
      try engine.setOutputGradient(gradient, rows: rows)
    }
    _ = try engine.finishStep()
  }

  func trainedParameters(_ engine: TrainingEngine<Element>) -> [Tensor<Element>] {
    zip(engine.model.structure.parameters, engine.parameters).filter { $0.0.isTrained }.map(\.1)
  }
}

/// A trainer, a store and an owner who says what he likes.
struct SequenceStage {
  let directory: TemporaryDirectory
  let keys: CurveKeyPair
  let network = InProcessNetwork()
  let id = JobID.random()

  init() throws {
    directory = try TemporaryDirectory()
    keys = try CurveKeyPair.generate()
  }

  func trainer(threads: Int = 1, memoryLimit: Int = 1 << 30, rowStoreLimit: Int = 1 << 24) -> TrainerHost<Float> {
    TrainerHost(
      on: network, store: directory.url("store"), threads: threads, memoryLimit: memoryLimit,
      rowStoreLimit: rowStoreLimit)
  }

  /// A new connection of the one owner.
  func owner() -> RawOwner<Float> {
    RawOwner(network, keys.ownerKey, job: id)
  }

  var folder: URL {
    directory.url("store").appending(path: "jobs").appending(path: id.description)
  }

  func size(_ file: String) -> Int? {
    let attributes = try? FileManager.default.attributesOfItem(atPath: folder.appending(path: file).path)
    return attributes?[.size] as? Int
  }

  var files: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
  }
}
