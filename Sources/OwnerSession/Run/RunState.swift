import Checkpoints
import Foundation
package import Wire

/// What a later command needs to go on with a run: no secret in it.
package struct RunState: Sendable, Equatable, Codable {
  package enum Phase: String, Sendable, Codable {
    /// The job exists on this side; the trainer may not know it yet.
    case prepared
    /// The trainer has everything it needs and works without the owner.
    case detached
    case training
    /// `model/` is complete.
    case finished
    case cancelled
  }

  package var job: JobID
  package var phase: Phase
  /// ZeroMQ endpoint and public key (z85) of the trainer.
  package var trainer: String
  package var trainerKey: String
  /// Directory with owner.key.
  package var keys: String
  package var data: DataShape
  /// The owner's public key (z85). Batch orders and starting weights are drawn from its secret half, so that a run goes on with no other.
  package var owner: String?

  package init(
    job: JobID, phase: Phase, trainer: String, trainerKey: String, keys: String, data: DataShape,
    owner: String? = nil
  ) {
    self.job = job
    self.phase = phase
    self.trainer = trainer
    self.trainerKey = trainerKey
    self.keys = keys
    self.data = data
    self.owner = owner
  }

  /// - Throws: `OwnerError.run` when there is no run, or its state cannot be read.
  package static func load(_ directory: RunDirectory) throws -> RunState {
    guard directory.exists else { throw OwnerError.run("\(directory.root.path) holds no run") }
    do {
      return try JSONDecoder().decode(RunState.self, from: try Data(contentsOf: directory.runState))
    } catch {
      throw OwnerError.run("\(directory.runState.path) cannot be read")
    }
  }

  package func save(_ directory: RunDirectory) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try AtomicFile.write(try encoder.encode(self), to: directory.runState.path)
  }
}
