import Architecture
import Foundation
import Tensors
import Training
import Transport
import Wire

/// Decides whether a job fits this trainer, before anything is uploaded.
struct JobAdmission<Element: FloatingElement> {
  let configuration: TrainerConfiguration
  /// Of the job's owner.
  let limits: OwnerLimits
  /// Bytes of one tensor on the wire.
  let largestMessage: Int

  /// - Returns: the model's number of parameters.
  /// - Throws: `TrainerError` of kind `.refused` that states the number and the limit.
  func admit(_ description: JobDescription) throws -> Int {
    let model = try Model(description.model)
    try checkOutputs(description)
    let memory = Self.memoryNeeded(description, model)
    let memoryLimit = min(configuration.memoryLimit, limits.memory ?? .max)
    guard let memory, memory <= memoryLimit else {
      let advice =
        description.model.maximumTokens == nil
        ? "make the layers or the batch smaller"
        : "make train.micro_batch smaller, set train.recompute, or train fewer of its weights (model.train)"
      let whose = memoryLimit < configuration.memoryLimit ? "this owner's (memory=)" : "this trainer's"
      throw TrainerError.refused(
        "the job needs \(memory.map(Mebibytes.text) ?? "uncountably many") MiB of memory, \(whose) limit is "
          + "\(Mebibytes.text(memoryLimit)) MiB a job; \(advice)", cause: .memory)
    }
    try checkMessages(description, model)
    if description.purpose == .training, description.lossLocation == .trainer {
      let needed = UploadedData<Element>.byteCount(
        description, width: model.inputWidth, outputs: model.outputWidth)
      guard let needed, needed <= configuration.rowStoreLimit else {
        throw TrainerError.refused(
          "the job's rows take \(needed.map(Mebibytes.text) ?? "uncountably many") MiB, this trainer keeps "
            + "\(Mebibytes.text(configuration.rowStoreLimit)) MiB a job; compute the loss at the owner (loss.where: owner) to send rows as they are needed",
          cause: .disk)
      }
    }
    return model.structure.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }

  /// The engine; outside of it outputs and their gradients of one part, and the inputs of sequences that wait their turn.
  private static func memoryNeeded(_ description: JobDescription, _ model: Model) -> Int? {
    let waiting =
      description.purpose == .training && description.lossLocation == .owner
      ? OwnerPacedTraining<Element>.window(description, width: model.inputWidth) : 0
    return Shape.sum([
      TrainingEngine<Element>.memoryEstimate(
        model: description.model, optimizer: description.purpose == .training ? description.optimizer : nil,
        batchRows: max(description.batch, description.microBatch), partRows: description.microBatch),
      Shape.byteCount([2, outputRows(description), model.outputWidth], Element.elementType),
      description.model.maximumTokens.map {
        Shape.byteCount([waiting, description.microBatch, $0, model.inputWidth], Element.elementType)
      } ?? 0,
    ])
  }

  /// Bytes of memory that the job takes; nil on overflow.
  static func memoryEstimate(_ description: JobDescription) throws -> Int? {
    memoryNeeded(description, try Model(description.model))
  }

  /// Outputs of the largest micro-batch, by sample or by token; validation keeps the product in range.
  private static func outputRows(_ description: JobDescription) -> Int {
    description.microBatch * (hasOutputsByToken(description) ? description.model.maximumTokens ?? 1 : 1)
  }

  private static func hasOutputsByToken(_ description: JobDescription) -> Bool {
    guard case .transformer(let transformer) = description.model else { return false }
    return transformer.head.pooling == .none
  }

  /// A loss that is computed here has a label for each output.
  private func checkOutputs(_ description: JobDescription) throws {
    guard let task = description.task, task.isPerToken != Self.hasOutputsByToken(description) else { return }
    throw TrainerError.refused(
      task.isPerToken
        ? "\(task.rawValue) needs an output for each token, and this model pools them"
        : "\(task.rawValue) needs one output for each sample, and this model has one for each token")
  }

  /// What travels each step must fit a message, however long its samples are.
  private func checkMessages(_ description: JobDescription, _ model: Model) throws {
    guard let maximumTokens = description.model.maximumTokens,
      description.purpose == .inference || description.lossLocation == .owner
    else { return }
    let inputs = Shape.byteCount([description.microBatch, maximumTokens, model.inputWidth], Element.elementType)
    let outputs = Shape.byteCount([Self.outputRows(description), model.outputWidth], Element.elementType)
    for (what, bytes) in [("inputs", inputs), ("outputs", outputs)] {
      guard let bytes, bytes <= largestMessage else {
        throw TrainerError.refused(
          "the \(what) of a micro-batch may take \(bytes.map(Mebibytes.text) ?? "uncountably many") MiB, a message holds "
            + "\(Mebibytes.text(largestMessage)) MiB; \(Self.advice(description))")
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
