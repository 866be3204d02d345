import Architecture
import Checkpoints
import Tensors
import Training
import Wire

/// What a job may come to take of the disk.
enum JobDisk<Element: FloatingElement> {
  /// Rows, labels and plan where the trainer computes the loss; and the most that checkpoints take at a time: the frozen weights
  /// once, the state twice (the new one is whole before the old one goes), the best weights twice where they are kept. Nil on
  /// overflow.
  static func bytesNeeded(_ description: JobDescription, _ model: Model) -> Int? {
    let tensors = CheckpointTensors(
      model.structure.parameters, statePrefixes: description.optimizer.statePrefixes)
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
      bytes(.frozen, times: 1), bytes(.state, times: 2), keepsBest ? bytes(.best, times: 2) : 0,
    ])
  }
}
