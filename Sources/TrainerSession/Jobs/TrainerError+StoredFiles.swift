import Checkpoints
import Failures

extension TrainerError {
  /// What the owner is told of files that the trainer keeps of its job and cannot use: they are not the owner's own, which bad input data
  /// would point at, and not its to mend.
  ///
  /// Other errors stay what they are: a full disk, or permissions.
  init(ofStoredFiles error: CheckpointError) {
    guard error.kind == .inputData else {
      self.init(error.kind, error.description)
      return
    }
    self.init(
      .refused,
      "what the trainer has stored of this job is damaged (\(error.description)); ask its operator to restore that file, or to remove it where "
        + "it is a checkpoint with an earlier one beside it, or start the run anew with another --out")
  }
}
