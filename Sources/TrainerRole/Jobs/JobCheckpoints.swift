import Models
import Files
import Foundations
import Numerics
import Training
import Protocol
import Service

/// The checkpoint files of one job: its model's weights and its optimizer's memory, moved tensor by tensor between disk and
/// engine.
struct JobCheckpoints<Element: FloatingElement> {
  let files: CheckpointStore
  private let description: JobDescription
  private let digest: String
  private let specifications: [ParameterSpecification]
  private let tensors: CheckpointTensors

  init(_ job: TrainingJob, in store: TrainingStore) throws {
    files = try store.checkpoints(of: job.id)
    description = job.description
    digest = job.id.description
    specifications = Model(description.graph).structure.parameters
    tensors = CheckpointTensors(job.description, specifications)
  }

  /// Where uploaded weights go.
  func beginUpload() throws -> ParameterUpload<Element> {
    // Replaced by the frozen weights' own hash when they are all here.
    let unknown = tensors.hasFrozen ? String(repeating: "0", count: 16) : nil
    return ParameterUpload(
      description, specifications,
      trained: try files.write(
        CheckpointRecord(content: .state, step: 0, jobDigest: digest, frozenHash: unknown), tensors: tensors),
      frozen: tensors.hasFrozen
        ? try files.write(CheckpointRecord(content: .frozen, step: 0, jobDigest: digest), tensors: tensors) : nil,
      corrections: tensors.hasCorrections
        ? try files.write(CheckpointRecord(content: .corrections, step: 0, jobDigest: digest), tensors: tensors) : nil)
  }

  /// What the job's correction works with; nil for a job without.
  ///
  /// - Throws: `FileError` for a file that is damaged, truncated, or of another job.
  func corrections() throws -> CorrectionVectors<Element>? {
    guard tensors.hasCorrections, var vectors = CorrectionVectors<Element>(zerosFor: description) else { return nil }
    let file: CheckpointReader<Element> = try files.read(.corrections, jobDigest: digest, tensors: tensors)
    try vectors.forEachTensor { try file.readNext(into: $0) }
    try file.finish()
    return vectors
  }

  /// An engine as it was after `step` steps, and what is known of the best weights so far.
  ///
  /// - Parameter batchRows: the most samples of a batch that the engine works on; nil for all.
  /// - Throws: `FileError` for files that are damaged, truncated, or of another job; `TrainingError`.
  func load(
    step: Int, compute: Compute, batchRows: Int? = nil
  ) throws -> (engine: TrainingEngine<Element>, state: CheckpointRecord) {
    let state: CheckpointReader<Element> = try files.read(
      .state, step: step, jobDigest: digest, tensors: tensors)
    let frozen = try openFrozen(of: state.record)
    do {
      let engine = try TrainingEngine<Element>(
        model: description.graph, optimizer: description.purpose == .training ? description.optimizer : nil,
        schedule: description.schedule, totalSteps: description.totalSteps,
        batchRows: batchRows ?? description.batch, partRows: description.microBatch,
        sampleClipping: description.sampleClipping(), compute: compute
      ) { try read($0, into: $1, state, frozen) }
      if step > 0 { try engine.loadOptimizerState { _, elements in try state.readNext(into: elements) } }
      try state.finish()
      try frozen?.finish()
      engine.step = step
      return (engine, state.record)
    } catch let error as TrainingError {
      // Numbers that cannot be are most likely damage, which is to be said then.
      try state.verify()
      try frozen?.verify()
      throw error
    }
  }

  /// The weights as their owner uploaded them, to answer questions with.
  ///
  /// - Throws: as `load`.
  func hosted(compute: Compute) throws -> HostedModel<Element> {
    let state: CheckpointReader<Element> = try files.read(.state, step: 0, jobDigest: digest, tensors: tensors)
    let frozen = try openFrozen(of: state.record)
    do {
      let model = try HostedModel<Element>(description.graph, compute: compute) {
        try read($0, into: $1, state, frozen)
      }
      try state.finish()
      try frozen?.finish()
      return model
    } catch let error as TrainingError {
      try state.verify()
      try frozen?.verify()
      throw error
    }
  }

  /// Reads uploaded weights through, and removes them where they are not whole.
  ///
  /// - Returns: whether there were such.
  func removeDamaged() throws -> Bool {
    guard try !files.steps().isEmpty else { return false }
    do {
      let state: CheckpointReader<Element> = try files.read(.state, step: 0, jobDigest: digest, tensors: tensors)
      try state.verify()
      try openFrozen(of: state.record)?.verify()
      return false
    } catch let error as FileError where error.kind == .inputData {
      for step in try files.steps() { try Directory.remove(files.path(step)) }
      return true
    }
  }

  /// The next parameter of the files' order.
  private func read(
    _ index: Int, into elements: UnsafeMutableBufferPointer<Element>, _ state: CheckpointReader<Element>,
    _ frozen: CheckpointReader<Element>?
  ) throws {
    if specifications[index].isTrained {
      try state.readNext(into: elements)
    } else {
      try frozen?.readNext(into: elements)
    }
  }

  private func openFrozen(of record: CheckpointRecord) throws -> CheckpointReader<Element>? {
    guard tensors.hasFrozen else { return nil }
    let frozen: CheckpointReader<Element> = try files.read(.frozen, jobDigest: digest, tensors: tensors)
    guard frozen.contentHash == record.frozenHash else {
      throw FileError.checkpoint(path: files.path(record.content, record.step), .otherFrozenWeights)
    }
    return frozen
  }

  /// Writes what training changes: a durable checkpoint of the state after the last applied step.
  ///
  /// - Parameter frozenHash: of the checkpoint that the engine was loaded from.
  func save(_ engine: TrainingEngine<Element>, best: CheckpointRecord.Best?, frozenHash: String?) throws {
    let writer: CheckpointWriter<Element> = try files.write(
      CheckpointRecord(
        content: .state, step: engine.step, jobDigest: digest, best: best, frozenHash: frozenHash), tensors: tensors)
    try appendTrained(of: engine, to: writer)
    for index in engine.optimizerStateShapes.indices {
      try engine.withOptimizerState(index) { try writer.append($0) }
    }
    try writer.finish()
  }

  /// Writes the trained weights as they are now, as the best so far.
  func saveBest(_ engine: TrainingEngine<Element>, frozenHash: String?) throws {
    let writer: CheckpointWriter<Element> = try files.write(
      CheckpointRecord(content: .best, step: engine.step, jobDigest: digest, frozenHash: frozenHash), tensors: tensors)
    try appendTrained(of: engine, to: writer)
    try writer.finish()
  }

  private func appendTrained(of engine: TrainingEngine<Element>, to writer: CheckpointWriter<Element>) throws {
    for index in specifications.indices where specifications[index].isTrained {
      try engine.withParameter(index) { try writer.append($0) }
    }
  }

  /// The resulting weights of a finished job: the best when the job keeps them and has them, else the last.
  func result() throws -> WeightRetrieval<Element> {
    guard let step = try files.steps().last else { throw ServiceError(.defect, "a finished job without a checkpoint") }
    let state: CheckpointReader<Element> = try files.read(.state, step: step, jobDigest: digest, tensors: tensors)
    var result = state
    if description.keep == .best, let best = state.record.best {
      // What refers to the best weights is believed only when it is whole.
      try state.verify()
      result = try files.read(.best, step: best.step, jobDigest: digest, tensors: tensors)
    }
    try result.verify()
    return WeightRetrieval(specifications.filter(\.isTrained), file: result)
  }
}

extension CheckpointTensors {
  init(_ description: JobDescription, _ specifications: [ParameterSpecification]) {
    let correction = description.correction
    self.init(
      specifications, statePrefixes: description.optimizer.statePrefixes,
      correctionPrefixes: (correction?.proximalStrength == nil ? [] : ["start"])
        + (correction?.hasOffsets == true ? ["offset"] : []))
  }
}

extension ServiceError {
  /// What the owner is told of files that the trainer keeps of its job and cannot use: they are not the owner's own, which bad input data
  /// would point at, and not its to mend.
  ///
  /// Other errors stay what they are: a full disk, or permissions.
  init(ofStoredFiles error: FileError) {
    guard error.kind == .inputData else {
      self.init(error.kind, error.description, told: "the trainer: \(error.descriptionForOthers)")
      return
    }
    func text(_ what: String) -> String {
      "what the trainer has stored of this job is damaged (\(what)); ask its operator to restore that file, or to remove it where "
        + "it is a checkpoint with an earlier one beside it, or start the run anew with another --out"
    }
    self.init(.refused, text(error.description), told: text(error.descriptionByName))
  }
}
