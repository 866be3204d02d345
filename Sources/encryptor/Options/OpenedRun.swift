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

  func channel() throws -> any OwnerChannel {
    guard let trainer = CurvePublicKey(z85: state.trainerKey) else {
      throw OwnerError.run("\(directory.runState.path) holds no trainer key")
    }
    return try ZeroMQOwnerChannel(endpoint: state.trainer, ownerKeys: try owner(), trainerKey: trainer)
  }

  /// A connection about the run's own job, or about a new one.
  func connect(job: JobID? = nil) throws -> TrainerConnection<Float> {
    TrainerConnection(
      channel: try channel(), job: job ?? state.job, software: Release.software, endpoint: state.trainer)
  }

  /// As `connect`, and spoken to: what waits for a trainer that does not answer says so.
  func greet(job: JobID? = nil, patience: Int) throws -> TrainerConnection<Float> {
    let connection = try connect(job: job)
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
