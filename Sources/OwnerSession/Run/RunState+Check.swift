import Datasets
import JobSpec

extension RunState {
  /// Whether a job prepared now is the one the run was made for.
  ///
  /// - Throws: `OwnerError.otherKey` for another owner's key, `.unfitData` when the file has changed.
  package func check(_ prepared: PreparedJob, _ directory: RunDirectory) throws {
    if let owner, owner != prepared.secret.ownerKey {
      throw OwnerError.otherKey("the run was made with the owner key \(owner); give the --keys directory that holds it")
    }
    guard data.checkpoint == prepared.shape.data.checkpoint else {
      throw OwnerError.unfitData(
        "the checkpoint that model.huggingface names holds other weights than when the run began; put the old one back")
    }
    guard data == prepared.shape.data else {
      throw OwnerError.unfitData(
        "\(prepared.job.data.file) has changed since the run began; put the old file back")
    }
    // The features themselves are compared when they are read.
    try DataDigest.read(directory)?.check(DataDigest(prepared, features: nil), file: prepared.job.data.file)
  }
}
