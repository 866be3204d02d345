import Foundations

/// Why a checkpoint cannot be used, or not written.
package enum TrainingCheckpointProblem: Error, Equatable, Sendable, CustomStringConvertible {
  /// A safetensors file that no trainer wrote.
  case notACheckpoint
  case unsupportedVersion(String)
  case otherJob
  /// A checkpoint file of another kind than its name says.
  case otherContent(CheckpointContent)
  /// Trained with other frozen weights than those that are stored.
  case otherFrozenWeights
  /// Something in the metadata that cannot be read.
  case malformedMetadata(key: String)
  case missingTensor(String)
  case unexpectedTensor(String)
  case shape(name: String, expected: [Int], found: [Int])
  /// The content does not hash to what was written.
  case damaged
  /// A parameter whose name begins like the optimizer's names.
  case reservedName(String)
  /// More or fewer elements than the tensors have.
  case otherSize
  case negativeStep
  /// No checkpoint of that step in the store.
  case noSuchStep(Int)

  var kind: FailureKind {
    switch self {
    case .reservedName, .negativeStep, .otherSize: .defect
    default: .inputData
    }
  }

  package var description: String {
    switch self {
    case .notACheckpoint: "is not a training checkpoint"
    case .unsupportedVersion(let version): "has the checkpoint version \(version), which this program cannot read"
    case .otherJob: "is a checkpoint of another job; use the store it belongs to, or start afresh in an empty one"
    case .otherContent(let content): "holds `\(content.rawValue)`, which does not match its file name; it was renamed"
    case .otherFrozenWeights: "was trained with other frozen weights than those beside it; submit the job anew"
    case .malformedMetadata(let key): "its `\(key)` cannot be read; the checkpoint is damaged"
    case .missingTensor(let name): "has no tensor `\(name)`; it belongs to another model, or is damaged"
    case .unexpectedTensor(let name): "holds `\(name)`, which this job does not have; it belongs to another model"
    case .shape(let name, let expected, let found):
      "`\(name)` has the shape \(found) instead of \(expected); it belongs to another model"
    case .damaged: "its content changed after it was written"
    case .otherSize: "more or fewer numbers were written or read than its tensors have"
    case .reservedName(let name): "a parameter cannot be called `\(name)`"
    case .negativeStep: "a step cannot be negative"
    case .noSuchStep(let step): "there is no checkpoint of step \(step)"
    }
  }
}
