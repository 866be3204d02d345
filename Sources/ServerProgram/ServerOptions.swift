package import ArgumentParser
import Foundation
import Foundations
package import Logging
package import Protocol

/// Which server a program is.
package protocol ServerIdentity: SendableMetatype {
  /// As its messages, files and metrics have it: `trainer`.
  static var name: String { get }
  static var version: String { get }
  /// Where it listens when nothing is said.
  static var defaultAddress: String { get }
  /// What its store holds.
  static var storeContents: String { get }
  /// Who may listen for it, and by which command.
  static var listeningPeer: String { get }
  /// What is to be done with its public key, in a sentence.
  static var useOfPublicKey: String { get }
}

extension ServerIdentity {
  /// Name and version, as peers see them.
  package static var software: String { "\(name) \(version)" }
}

/// What every server is told: who it is, where it keeps things, and where it is reached.
package struct ServerPlace<Identity: ServerIdentity>: ParsableArguments {
  @Option(
    help: "Directory with \(Identity.name).key, as `\(Identity.name) keygen` makes it.", completion: .directory)
  package var keys: String

  @Option(help: "Directory for \(Identity.storeContents); made when missing.", completion: .directory)
  package var store: String

  @Option(
    help: ArgumentHelp(
      "Where to listen; port 0 picks one. (default: \(Identity.defaultAddress), without --connect)",
      valueName: "address"))
  package var bind: String?

  @Option(
    help: ArgumentHelp(
      "Address of \(Identity.listeningPeer), for machines that can only make connections (repeatable).",
      valueName: "address"))
  package var connect: [String] = []

  package init() {}

  /// Where it listens; nil when it only connects to owners.
  var address: String? { bind ?? (connect.isEmpty ? Identity.defaultAddress : nil) }
}

/// The same for a server whose operator lists its owners in a file.
package struct ServerOptions<Identity: ServerIdentity>: ParsableArguments {
  @OptionGroup
  package var place: ServerPlace<Identity>

  @Option(help: "File of admitted owners, one per line: KEY memory=4G disk=20G queue=2 # name.", completion: .file())
  package var authorized: String

  package init() {}

  package var owners: OwnerList { .file(authorized) }
}

/// Whom a server serves.
package enum OwnerList: Sendable {
  /// Those of a file, which is read again when a signal asks for it.
  case file(String)
  /// Always these.
  case fixed(AuthorizedKeys)

  /// - Throws: `KeyFileError`.
  func read() throws(KeyFileError) -> AuthorizedKeys {
    switch self {
    case .file(let path): try AuthorizedKeys.read(at: path)
    case .fixed(let keys): keys
    }
  }
}

/// How every server tells of itself.
package struct ReportOptions: ParsableArguments {
  @Option(help: "Log format: text or json (one object per line).")
  package var logFormat: LogFormat = .text

  @Option(help: "Least severe messages to log: trace, debug, info, notice, warning, error.")
  package var logLevel: Logger.Level = .info

  @Option(
    help: ArgumentHelp(
      "Serve Prometheus metrics at http://ADDRESS/metrics; a loopback address, port 0 picks one (logged).",
      valueName: "127.0.0.1:port"),
    transform: LoopbackAddress.init)
  package var metrics: LoopbackAddress?

  package init() {}
}

/// `keygen`: makes a server's key pair.
package struct ServerKeygenCommand<Identity: ServerIdentity>: ParsableCommand {
  package static var configuration: CommandConfiguration {
    CommandConfiguration(
      commandName: "keygen", abstract: "Make the \(Identity.name)'s key pair.",
      discussion: """
        Writes DIR/\(Identity.name).key (secret, mode 0600) and DIR/\(Identity.name).pub. \
        \(Identity.useOfPublicKey) An existing key is never overwritten.

        Example: \(Identity.name) keygen keys
        """)
  }

  @Argument(help: "Directory to write to; made when missing.", completion: .directory)
  package var directory: String

  package init() {}

  package func run() throws {
    let file = KeyFile(.init(server: Identity.name), in: directory)
    let keys = try CurveKeyPair.generate()
    try file.create(keys)
    print("\(file.publicPath)  \(keys.publicKey.z85)")
  }
}

/// What `status` of every server takes: a store, and whether a program or a person reads the answer.
package struct StatusOptions<Identity: ServerIdentity>: ParsableArguments {
  @Option(help: "The \(Identity.name)'s store.", completion: .directory)
  package var store: String

  @Flag(help: "Print JSON.")
  package var json = false

  package init() {}

  /// Prints the report as JSON with sorted keys, or its lines.
  package func show(_ report: some Encodable, lines: @autoclosure () -> [String]) throws {
    guard json else {
      for line in lines() { print(line) }
      return
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(report), as: UTF8.self))
  }
}
