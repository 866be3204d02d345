import Architecture
import Foundation
import Tensors
import Training
import Wire

/// Decides whether a job fits this trainer, before anything is uploaded.
struct JobAdmission<Element: FloatingElement> {
  let configuration: TrainerConfiguration

  /// - Returns: the model's number of parameters.
  /// - Throws: `TrainerError` of kind `.refused` that states the number and the limit.
  func admit(_ description: JobDescription) throws -> Int {
    let model = try Model(description.model)
    guard
      let memory = TrainingEngine<Element>.memoryEstimate(
        model: description.model, optimizer: description.optimizer,
        batchRows: max(description.batch, description.microBatch)),
      memory <= configuration.memoryLimit
    else {
      throw TrainerError.refused(
        "the job needs more memory than this trainer's limit of \(configuration.memoryLimit >> 20) MiB a job")
    }
    if description.purpose == .training, description.lossLocation == .trainer {
      let needed = UploadedData<Element>.byteCount(
        description, width: model.inputWidth, outputs: model.outputWidth)
      guard let needed, needed <= configuration.rowStoreLimit else {
        throw TrainerError.refused(
          "the job's rows take \((needed ?? .max) >> 20) MiB, more than this trainer's \(configuration.rowStoreLimit >> 20) "
            + "MiB a job; compute the loss at the owner (loss.where: owner) to send rows as they are needed")
      }
    }
    return model.structure.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }
}
