import ArgumentParser
import Foundation
import Foundations
import JobSpec
import Models
import OwnerRole
import Numerics
import Protocol

/// The job file, and keys of it to override.
struct JobOptions: ParsableArguments {
  @Argument(help: "The job specification.", completion: .file(extensions: ["yaml", "yml"]))
  var job: String

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "Override a key of the job, for example --set data.file=/data/tox21.h5 (repeatable).", valueName: "key=value"))
  var overrides: [String] = []

  func load() throws -> ResolvedJob {
    try ResolvedJob.load(path: job, overrides: overrides)
  }
}

/// The owner's keys and the trainer's public key.
struct KeyOptions: ParsableArguments {
  @Option(help: "Directory with owner.key, as `encryptor keygen` makes it.", completion: .directory)
  var keys: String

  @Option(help: "The trainer's public key file (trainer.pub); no other trainer is accepted.", completion: .file())
  var trainerKey: String

  func owner() throws -> CurveKeyPair {
    try KeyFile(.owner, in: keys).readKeyPair()
  }

  func trainer() throws -> CurvePublicKey {
    try KeyFile.readPublicKey(at: trainerKey)
  }
}

struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen", abstract: "Make the owner's key pair.",
    discussion: """
      Writes DIR/owner.key (secret, mode 0600) and DIR/owner.pub. Give owner.pub to the provider, who lists it in the trainer's \
      --authorized file. An existing key is never overwritten.

      Example: encryptor keygen keys
      """)

  @Argument(help: "Directory to write to; made when missing.", completion: .directory)
  var directory: String

  func run() throws {
    let file = KeyFile(.owner, in: directory)
    let keys = try CurveKeyPair.generate()
    try file.create(keys)
    print("\(file.publicPath)  \(keys.publicKey.z85)")
  }
}

/// How options that several roles share speak to each of them.
protocol RoleWords: SendableMetatype {
  /// The server that the role's programs speak to, without an article and with one.
  static var server: String { get }
  static var aServer: String { get }
  /// What is said of `--threads`.
  static var threads: String { get }
}

/// An owner and its trainer.
enum OwnerWords: RoleWords {
  static let server = "trainer"
  static let aServer = "a trainer"
  static let threads = "Threads for masking; results do not depend on it. (default: all cores)"
}

/// A site and the aggregator of its federation.
enum SiteWords: RoleWords {
  static let server = "aggregator"
  static let aServer = "an aggregator"
  static let threads =
    "Threads for local steps and masking, where the site's file does not say; results do not depend on it. (default: all cores)"
}

/// All sites of a federation in one process.
enum SimulationWords: RoleWords {
  static let server = "aggregator"
  static let aServer = "an aggregator"
  static let threads =
    "Threads of each site, where its file does not say; results do not depend on it. (default: 1)"
}

/// How much of this machine to use.
struct ThreadsOption<Words: RoleWords>: ParsableArguments {
  @Option(help: ArgumentHelp(stringLiteral: Words.threads))
  var threads: Int?

  func validate() throws {
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads must be 1 … 1024") }
  }

  var compute: Compute { Compute(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount) }
}

/// How many threads to use, and how long to wait for a server.
struct ProcessingOptions<Words: RoleWords>: ParsableArguments {
  @OptionGroup var machine: ThreadsOption<Words>

  @Option(
    help: ArgumentHelp(
      "Seconds to wait for \(Words.aServer) that is not there or went away.", valueName: "seconds"))
  var patience: Int = 600

  func validate() throws {
    guard (0...1_000_000).contains(patience) else { throw ValidationError("--patience must be 0 … 1000000") }
  }

  var compute: Compute { machine.compute }
}

/// How long a single question to the trainer waits for an answer.
struct PatienceOption: ParsableArguments {
  @Option(help: ArgumentHelp("Seconds to wait for a trainer that does not answer.", valueName: "seconds"))
  var patience: Int = 10

  func validate() throws {
    guard (0...1_000_000).contains(patience) else { throw ValidationError("--patience must be 0 … 1000000") }
  }
}

/// For servers that can only make outgoing connections.
struct ListenOption<Words: RoleWords>: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Wait here for the \(Words.server), started with --connect, instead of connecting to it; port 0 picks one.",
      valueName: "address"))
  var listen: String?
}

/// How an owner and its trainer connect: at the trainer's address, or at one of the owner's own.
struct TrainerPlace {
  let channel: any OwnerChannel
  /// The trainer, as errors name it.
  let peer: String

  /// - Parameters:
  ///   - endpoint: the trainer's address.
  ///   - listen: the owner's own address, used instead if given.
  ///   - role: of the server, as errors name it.
  /// - Throws: `TransportError` of kind `.usage` for an address that is none or is in use.
  init(
    endpoint: String, listen: String?, ownerKeys: CurveKeyPair, trainerKey: CurvePublicKey, role: String = "trainer"
  ) throws {
    guard let listen else {
      channel = try ZeroMQOwnerChannel(endpoint: endpoint, ownerKeys: ownerKeys, serverKey: trainerKey)
      peer = "the \(role) at \(endpoint)"
      return
    }
    let channel = try ZeroMQOwnerChannel(listen: listen, ownerKeys: ownerKeys, serverKey: trainerKey)
    self.channel = channel
    let bound = channel.listeningEndpoint ?? listen
    peer = "a \(role) that connects to \(bound)"
    StandardError.write("listening \(bound)\n")
  }
}

// Choices by the names that a job has for them.
extension LearningTask: ExpressibleByArgument {}
extension TrainingPrecision: ExpressibleByArgument {}
extension TokenPooling: ExpressibleByArgument {}
extension MaskingStrength: ExpressibleByArgument {}
extension BaseModelVisibility: ExpressibleByArgument {}
