import FoundationEssentials
import JobSpec
import Masking
import OwnerSession
import Transport
import Wire

/// An existing run with everything needed to speak about it with its trainer.
struct OpenedRun {
  let directory: RunDirectory
  let state: RunState
  let job: ResolvedJob

  func owner() throws -> CurveKeyPair {
    try KeyFile(.owner, in: state.keys).readKeyPair()
  }

  /// A connection about the run's own job, or about a new one.
  ///
  /// - Parameter listen: where to wait for the trainer instead of connecting to it.
  func connect(job: JobID? = nil, listen: String?) throws -> TrainerConnection<Float> {
    guard let trainer = CurvePublicKey(z85: state.trainerKey) else {
      throw OwnerError.run("\(directory.runState.path) holds no trainer key")
    }
    let place = try TrainerPlace(endpoint: state.trainer, listen: listen, ownerKeys: try owner(), trainerKey: trainer)
    return TrainerConnection(
      channel: place.channel, job: job ?? state.job, software: Release.software, peer: place.peer)
  }

  /// As `connect`, and spoken to: what waits for a trainer that does not answer says so.
  func greet(job: JobID? = nil, listen: String?, patience: Int) throws -> TrainerConnection<Float> {
    let connection = try connect(job: job, listen: listen)
    do {
      try connection.greet(
        patience: .seconds(patience),
        waiting: { reason in
          StandardError.write("\(reason); waiting for it for up to \(NumberText.duration(Double(patience)))\n")
        })
    } catch {
      connection.close()
      throw error
    }
    return connection
  }

  func masterKey() throws -> MasterKey {
    try Self.masterKey(directory, state)
  }

  static func masterKey(_ directory: RunDirectory, _ state: RunState) throws -> MasterKey {
    guard let job = JobIdentifier(state.job.description) else {
      throw OwnerError.run("\(directory.runState.path) holds no job id")
    }
    return try MasterKeyFile(path: directory.jobKey.path).read(job: job)
  }

  func shape() throws -> JobShape {
    try JobShape(job: job, data: state.data)
  }
}
