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
    let memory = TrainingEngine<Element>.memoryEstimate(
      model: description.model, optimizer: description.optimizer,
      batchRows: max(description.batch, description.microBatch))
    guard let memory, memory <= configuration.memoryLimit else {
      throw TrainerError.refused(
        "the job needs \(memory.map(Self.mebibytes) ?? "uncountably many") MiB of memory, this trainer's limit is "
          + "\(Self.mebibytes(configuration.memoryLimit)) MiB a job; make the layers or the batch smaller")
    }
    if description.purpose == .training, description.lossLocation == .trainer {
      let needed = UploadedData<Element>.byteCount(
        description, width: model.inputWidth, outputs: model.outputWidth)
      guard let needed, needed <= configuration.rowStoreLimit else {
        throw TrainerError.refused(
          "the job's rows take \(needed.map(Self.mebibytes) ?? "uncountably many") MiB, this trainer keeps "
            + "\(Self.mebibytes(configuration.rowStoreLimit)) MiB a job; compute the loss at the owner (loss.where: owner) to send rows as they are needed"
        )
      }
    }
    return model.structure.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }

  /// With one decimal.
  private static func mebibytes(_ bytes: Int) -> String {
    let tenths = bytes / (1 << 20) * 10 + bytes % (1 << 20) * 10 / (1 << 20)
    return "\(tenths / 10).\(tenths % 10)"
  }
}
