import ArgumentParser
import Checkpoints
import Failures
import Foundation
import Tensors
import Transport

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
