import ArgumentParser
import Files
import Foundations
import Foundation
import Numerics
import Protocol

/// The provider's program.
@main
struct Trainer: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trainer",
    abstract: "Train models on masked rows for owners whose data this machine never sees in the clear.",
    discussion: """
      This program holds no code to unmask: it runs forward and backward passes and the optimizer on masked numbers. What it still \
      learns of a job (sizes, distances between rows, clusters) the owner's `encryptor plan` lists.

      Example:
        trainer keygen keys
        trainer serve --keys keys --authorized owners.txt --store /scratch/trainer --bind tcp://0.0.0.0:5570
        trainer verify-log /scratch/trainer

      Exit codes: 0 done · 2 usage, an address in use, a store that another trainer holds · 3 a store of another version or damaged, no \
      such file · 4 keys or permissions · 5 a rank is gone · 7 an audit log is broken · 8 disk or memory exhausted · 70 a defect of ours
      """,
    version: Release.version,
    subcommands: [KeygenCommand.self, ServeCommand.self, StatusCommand.self, VerifyLogCommand.self])

  static func main() {
    do {
      try KernelChoice.restartIfNeeded()
      ProcessHardening.reserveStandardStreams()
      ProcessHardening.reportFailedWrites()
      try ProcessHardening.disableCoreDumps()
      do {
        var command = try parseAsRoot()
        try command.run()
        // What `serve` prints is in its log too, and a service ends as its jobs did.
        if command is ServeCommand { return }
      } catch  where exitCode(for: error) == .success {
        // Help and versions come as errors, and are results like any other.
        print(fullMessage(for: error))
      }
      try StandardOutput.finish()
    } catch let failure as any Failure {
      StandardError.write("trainer: \(failure.description.printable(limit: 4000))\n")
      Foundation.exit(failure.kind.exitCode)
    } catch {
      StandardError.write(fullMessage(for: error) + "\n")
      let isUsage = exitCode(for: error) == .validationFailure
      Foundation.exit(isUsage ? FailureKind.usage.exitCode : FailureKind.defect.exitCode)
    }
  }
}

/// This program's name and version, as peers and `--version` see them.
enum Release {
  static let version = "0.1.0"
  static let software = "trainer \(version)"
}

struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen", abstract: "Make the trainer's key pair.",
    discussion: """
      Writes DIR/trainer.key (secret, mode 0600) and DIR/trainer.pub. Owners pin trainer.pub with --trainer-key. An existing key is never \
      overwritten.

      Example: trainer keygen keys
      """)

  @Argument(help: "Directory to write to; made when missing.", completion: .directory)
  var directory: String

  func run() throws {
    let file = KeyFile(.trainer, in: directory)
    let keys = try CurveKeyPair.generate()
    try file.create(keys)
    print("\(file.publicPath)  \(keys.publicKey.z85)")
  }
}
