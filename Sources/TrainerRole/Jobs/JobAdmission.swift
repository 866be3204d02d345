import Foundations
import Models
import Files
import Collectives
import Foundation
import Numerics
import Training
import Protocol
import Service

/// Decides whether a job fits this trainer, before anything is uploaded.
struct JobAdmission<Element: FloatingElement> {
  let configuration: TrainerConfiguration
  /// Of the job's owner.
  let limits: OwnerLimits
  /// Bytes of one tensor on the wire.
  let largestMessage: Int

  /// Looks at shapes alone: nothing of a size that the description states is made.
  ///
  /// - Parameter model: built from the description.
  /// - Returns: the model's number of parameters.
  /// - Throws: `ServiceError` of kind `.refused` that states the number and the limit.
  func admit(_ description: JobDescription, _ model: Model) throws -> Int {
    try checkOutputs(description)
    try checkRanks(description)
    if description.privacy != nil, let layer = model.layerWithoutSampleNorms {
      throw ServiceError.refused(TrainingError.noSampleNorms(layer: layer).description)
    }
    try checkMemory(description, model)
    try checkMessages(description, model)
    if description.purpose == .training, description.lossLocation == .trainer {
      let needed = UploadedData<Element>.byteCount(
        description, width: model.inputWidth, outputs: model.outputWidth)
      guard let needed, needed <= configuration.rowStoreLimit else {
        throw ServiceError.refused(
          "the job's rows take \(ByteSize.binaryText(needed)), this trainer keeps "
            + "\(ByteSize.binaryText(configuration.rowStoreLimit)) a job; compute the loss at the owner (loss.where: owner) to send rows as they are needed",
          cause: .disk)
      }
    }
    return model.structure.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }

  private func checkMemory(_ description: JobDescription, _ model: Model) throws {
    let isHosted = description.purpose == .hosting
    let memory =
      isHosted
      ? LoadedModels<Element>.bytesNeeded(description, messageBytes: configuration.service.limits.tensorBytes)
      : Self.memoryNeeded(description, model, replicas: configuration.replicas)
    let ownLimit = isHosted ? configuration.deploymentMemory : configuration.memoryLimit
    let memoryLimit = min(ownLimit, limits.memory ?? .max)
    guard let memory, memory <= memoryLimit else {
      let whose = memoryLimit < ownLimit ? "this owner's (memory=)" : "this trainer's"
      if isHosted {
        throw ServiceError.refused(
          "the model needs \(ByteSize.binaryText(memory)) of memory to be hosted, \(whose) limit is "
            + "\(ByteSize.binaryText(memoryLimit)); make questions smaller, or ask the trainer's operator for more (--deployment-memory)",
          cause: .memory)
      }
      let advice =
        description.graph.maximumTokens == nil
        ? "make the layers or the batch smaller"
        : "make train.micro_batch smaller, set train.recompute, or train fewer of its weights (model.train)"
      throw ServiceError.refused(
        "the job needs \(ByteSize.binaryText(memory)) of memory, \(whose) limit is "
          + "\(ByteSize.binaryText(memoryLimit)) a job; \(advice)", cause: .memory)
    }
  }

  /// The engine, and what corrections add; outside of it outputs and their gradients of one part, and the inputs of sequences that wait their turn.
  ///
  /// - Parameter replicas: how many share each batch; nil when the job does not run on replicas.
  static func memoryNeeded(_ description: JobDescription, _ model: Model, replicas: Int?) -> Int? {
    let waiting =
      description.purpose == .training && description.lossLocation == .owner
      ? OwnerPacedTraining<Element>.window(description, width: model.inputWidth) : 0
    return Shape.sum([
      TrainingEngine<Element>.memoryEstimate(
        model, optimizer: description.purpose == .training ? description.optimizer : nil,
        batchRows: max(
          ReplicatedRun<Element>.batchRows(description, replicas: replicas ?? 1),
          description.microBatch), partRows: description.microBatch,
        sampleClipping: try? description.sampleClipping(), compute: description.computeOfEstimates),
      CorrectionVectors<Element>.bytesNeeded(description, model),
      replicas == nil ? 0 : handedOut(description, model),
      Shape.byteCount([2, outputRows(description), model.outputWidth], Element.elementType),
      description.graph.maximumTokens.map {
        Shape.byteCount([waiting, description.microBatch, $0, model.inputWidth], Element.elementType)
      } ?? 0,
    ])
  }

  /// Bytes of memory that the job takes on one process; nil on overflow.
  static func memoryEstimate(_ description: JobDescription) -> Int? {
    if description.purpose == .hosting { return LoadedModels<Element>.bytesNeeded(description) }
    return memoryNeeded(description, Model(description.graph), replicas: nil)
  }

  /// Inputs of two steps, which replicas have at once.
  private static func handedOut(_ description: JobDescription, _ model: Model) -> Int? {
    guard description.purpose == .training else { return 0 }
    return Shape.byteCount(
      [2, description.batch, description.graph.maximumTokens ?? 1, model.inputWidth], Element.elementType)
  }

  /// Ranks that could never have a micro-batch of this job's are more than it is worth to hold.
  private func checkRanks(_ description: JobDescription) throws {
    let ranks = configuration.communicator.size
    guard description.purpose == .training, ranks > 1 else { return }
    let parts = (description.batch - 1) / description.microBatch + 1
    guard ranks > parts else { return }
    let advice =
      ranks <= description.batch
      ? "make train.micro_batch at most \(Self.largestPart(of: description.batch, for: ranks)), which changes no result"
      : "make train.batch at least \(ranks)"
    throw ServiceError.refused(
      "this trainer runs on \(ranks) ranks, and a batch of the job has only \(parts) micro-batches, so that "
        + "\(ranks - parts) ranks would never have work; \(advice), or use a trainer with fewer ranks")
  }

  /// The largest micro-batch that gives each rank one; `ranks` is at most `batch`.
  private static func largestPart(of batch: Int, for ranks: Int) -> Int {
    (1...max(1, batch / ranks + 1)).last { (batch - 1) / $0 + 1 >= ranks } ?? 1
  }

  /// Outputs of the largest micro-batch, by sample or by token; validation keeps the product in range.
  private static func outputRows(_ description: JobDescription) -> Int {
    description.microBatch * (description.graph.hasOutputsByToken ? description.graph.maximumTokens ?? 1 : 1)
  }

  /// A loss that is computed here has a label for each output.
  private func checkOutputs(_ description: JobDescription) throws {
    guard let task = description.task, task.isPerToken != description.graph.hasOutputsByToken else { return }
    throw ServiceError.refused(
      task.isPerToken
        ? "\(task.rawValue) needs an output for each token, and this model pools them"
        : "\(task.rawValue) needs one output for each sample, and this model has one for each token")
  }

  /// What travels each step must fit a message, however long its samples are. A question to a hosted model is judged when it is there.
  private func checkMessages(_ description: JobDescription, _ model: Model) throws {
    guard let maximumTokens = description.graph.maximumTokens,
      description.purpose != .hosting, description.purpose == .inference || description.lossLocation == .owner
    else { return }
    let inputs = Shape.byteCount([description.microBatch, maximumTokens, model.inputWidth], Element.elementType)
    let outputs = Shape.byteCount([Self.outputRows(description), model.outputWidth], Element.elementType)
    for (what, bytes) in [("inputs", inputs), ("outputs", outputs)] {
      guard let bytes, bytes <= largestMessage else {
        throw ServiceError.refused(
          "the \(what) of a micro-batch may take \(ByteSize.binaryText(bytes)), a message holds "
            + "\(ByteSize.binaryText(largestMessage)); \(Self.advice(description))")
      }
    }
  }

  /// What makes messages smaller: rows that were uploaded, and outputs that stay here, are in none.
  private static func advice(_ description: JobDescription) -> String {
    let ways =
      (description.microBatch > 1 ? ["make train.micro_batch smaller"] : [])
      + (description.purpose == .training ? ["set loss.where: trainer"] : []) + ["cut the texts shorter"]
    return ways.dropLast().joined(separator: ", ") + (ways.count > 1 ? ", or " : "") + ways[ways.count - 1]
  }
}

/// What a job may come to take of the disk.
enum JobDisk<Element: FloatingElement> {
  /// Rows, labels and plan where the trainer computes the loss; and the most that checkpoints take at a time: the frozen weights
  /// and what corrections need once, the state twice (the new one is whole before the old one goes), the best weights twice where they are kept. Nil on
  /// overflow.
  static func bytesNeeded(_ description: JobDescription, _ model: Model) -> Int? {
    let tensors = CheckpointTensors(description, model.structure.parameters)
    func bytes(_ content: CheckpointContent, times: Int) -> Int? {
      let isTraining = description.purpose == .training
      let each = tensors.descriptions(content, step: isTraining ? 1 : 0).map {
        Shape.byteCount($0.shape + [times], Element.elementType)
      }
      return Shape.sum(each)
    }
    let isUploaded = description.purpose == .training && description.lossLocation == .trainer
    let keepsBest = description.purpose == .training && description.keep == .best
    return Shape.sum([
      isUploaded
        ? UploadedData<Element>.byteCount(description, width: model.inputWidth, outputs: model.outputWidth) : 0,
      bytes(.frozen, times: 1), bytes(.corrections, times: 1),
      bytes(.state, times: description.purpose == .hosting ? 1 : 2),
      keepsBest ? bytes(.best, times: 2) : 0,
    ])
  }
}
