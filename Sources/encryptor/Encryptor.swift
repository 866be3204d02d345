import ArgumentParser
import Files
import Foundations
import Foundation
import Numerics
import Protocol

/// The owner's program.
@main
struct Encryptor: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encryptor",
    abstract:
      "Fine-tune a model on masked data at a compute provider that sees neither rows, labels nor weights in the clear.",
    discussion: """
      Every row is sent as x' = T x + δ under a secret key, weights and gradients under the keys that commute with the model, and \
      the result is the model that plaintext training would give. A fixed linear mask is obfuscation, not semantic security: the \
      provider sees all distances and clusters between rows, and whoever knows enough rows in the clear, or the base weights, \
      can work the key out. `encryptor plan` lists what a job shows.

      Example:
        encryptor keygen keys
        encryptor run jobs/pbmc.yaml --keys keys --trainer-key trainer.pub --out runs/pbmc

      Exit codes: 0 done · 2 usage or job · 3 input data · 4 keys or permissions · 5 trainer gone or interrupted (resume) · \
      6 refused by the trainer · 7 a check failed · 8 disk or memory exhausted · 70 a defect of ours
      """,
    version: Release.version,
    subcommands: [
      KeygenCommand.self, RunCommand.self, SubmitCommand.self, StatusCommand.self, RetrieveCommand.self,
      UnmaskCommand.self, CancelCommand.self, PredictCommand.self, DeployCommand.self, QueryCommand.self,
      GenerateCommand.self, RotateCommand.self, ClientsCommand.self, UndeployCommand.self, DeploymentsCommand.self,
      VerifyCommand.self,
      AuditCommand.self, PlanCommand.self, InspectCommand.self, ConvertCommand.self, CharterCommand.self,
      GroupKeyCommand.self,
      JoinCommand.self, SimulateCommand.self,
    ])

  static func main() {
    do {
      try KernelChoice.restartIfNeeded()
      ProcessHardening.reserveStandardStreams()
      ProcessHardening.reportFailedWrites()
      try ProcessHardening.disableCoreDumps()
      try ProcessHardening.reportFaults(program: "encryptor")
      do {
        var command = try parseAsRoot()
        try command.run()
      } catch  where exitCode(for: error) == .success {
        // Help and versions come as errors, and are results like any other.
        print(fullMessage(for: error))
      }
      try StandardOutput.finish()
    } catch let failure as any Failure {
      StandardError.write("encryptor: \(failure.description.printable(limit: 4000))\n")
      Foundation.exit(failure.kind.exitCode)
    } catch {
      StandardError.write(fullMessage(for: error).printableLines + "\n")
      let isUsage = exitCode(for: error) == .validationFailure
      Foundation.exit(isUsage ? FailureKind.usage.exitCode : FailureKind.defect.exitCode)
    }
  }
}

/// This program's name and version, as peers and `--version` see them.
enum Release {
  static let version = "0.1.0"
  static let software = "encryptor \(version)"
}
