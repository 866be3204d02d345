import ArgumentParser
import Files
import Foundation
import Foundations
import Numerics
import OwnerRole
import Protocol

/// Whose question it is, and where the answers go.
struct ClientOptions: ParsableArguments {
  @Argument(help: "The client's directory.", completion: .directory)
  var client: String

  @Option(help: "Directory with the client's owner.key.", completion: .directory)
  var keys: String

  @Option(
    name: .customLong("out"), help: "The HDF5 file to write; one that is there is not overwritten.", completion: .file()
  )
  var output: String
}

/// What a client's commands work with: its directory, for this process alone, its key, and the way to its host.
struct ClientPlace {
  let directory: ClientDirectory
  let description: ClientDescription
  let own: CurveKeyPair
  let place: TrainerPlace
  private let lease: DirectoryLease

  /// - Parameters:
  ///   - listen: the client's own address, for a host that dials out.
  ///   - interruption: ends the wait for another process that may have the directory.
  init(_ options: ClientOptions, listen: String?, _ interruption: Interruption) throws {
    directory = ClientDirectory(root: URL(filePath: options.client))
    description = try directory.load()
    own = try KeyFile(.owner, in: options.keys).readKeyPair()
    try PartialOutput.check(URL(filePath: options.output))
    guard let hostKey = CurvePublicKey(z85: description.hostKey) else {
      throw OwnerError.run("\(directory.description.path) holds no key of a host")
    }
    lease = try RunHold.take(directory, interruption)
    do {
      place = try TrainerPlace(
        endpoint: description.host, listen: listen, ownerKeys: own, trainerKey: hostKey, role: "host")
    } catch {
      lease.release()
      throw error
    }
  }

  /// About the deployment.
  var connection: TrainerConnection<Float> {
    TrainerConnection(
      channel: place.channel, job: description.deployment, software: Release.software, peer: place.peer,
      isJobKept: false)
  }

  func close() {
    place.channel.close()
    lease.release()
  }
}

/// What is said of a result that an earlier process has written, and nobody was asked for.
enum FinishedText {
  static func of(_ output: String) -> String {
    "\(output) was whole already: an earlier command was ended before it could say so"
  }
}

/// What is said of a host that goes away and comes back, and of a new key.
struct HostWaitNotice {
  let patience: Int

  func lost(_ reason: String) {
    StandardError.write("\(reason); waiting for it for up to \(QuantityText.duration(Double(patience)))\n")
  }

  func back() {
    StandardError.write("the host is back\n")
  }

  func rekeyed(_ number: Int) {
    StandardError.write("the deployment's owner has changed the masking key; going on under key \(number)\n")
  }
}
