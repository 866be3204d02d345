import ArgumentParser
import Logging
import Numerics
import Protocol
import ServerProgram
import TrainerRole

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
      such file · 4 keys or permissions · 5 a rank is gone · 7 an event log is broken · 8 disk or memory exhausted · 70 a defect of ours
      """,
    version: Release.version,
    subcommands: [
      ServerKeygenCommand<Release>.self, ServeCommand.self, StatusCommand.self, VerifyLogCommand<Release>.self,
    ])

  static func main() {
    ServerMain.run(Self.self, of: Release.self, prepare: KernelChoice.restartIfNeeded) { $0 is ServeCommand }
  }
}

/// This program's name and version, as peers and `--version` see them.
enum Release: ServerIdentity {
  static let name = TrainerConfiguration.program
  static let version = "0.1.0"
  static let defaultAddress = "tcp://127.0.0.1:5570"
  static let storeContents = "jobs and checkpoints"
  static let listeningPeer = "an owner that listens (encryptor … --listen)"
  static let useOfPublicKey = "Owners pin trainer.pub with --trainer-key."
}

extension ServerLog {
  /// What a trainer does beside what every server does.
  func record(_ event: TrainingEvent) {
    switch event {
    case .jobAccepted(let job, let owner, let parameters, let steps):
      logger.notice(
        "job accepted",
        metadata: ["job": "\(job)", "owner": "\(owner)", "parameters": "\(parameters)", "steps": "\(steps)"])
    case .progress(let job, let step, let total, let rate):
      logger.info(
        "progress",
        metadata: ["job": "\(job)", "step": "\(step)", "steps": "\(total)", "rows_per_second": "\(Int(rate))"])
    case .reductionMeasured(let job, let ranks, let bytes, let seconds):
      logger.info(
        "gradient sum measured",
        metadata: [
          "job": "\(job)", "ranks": "\(ranks)", "bytes": "\(bytes)", "microseconds": "\(Int(seconds * 1e6))",
        ])
    case .reductions(let job, let steps, let exposed, let imbalance):
      logger.info(
        "gradient sums",
        metadata: [
          "job": "\(job)", "steps": "\(steps)", "exposed_microseconds": "\(Int(exposed * 1e6))",
          "imbalance_microseconds": "\(Int(imbalance * 1e6))",
        ])
    case .deployed(let deployment, let owner, let revision, let clients, let copies):
      logger.notice(
        "deployed",
        metadata: [
          "job": "\(deployment)", "owner": "\(owner)", "revision": "\(revision)", "clients": "\(clients)",
          "copies": "\(copies)",
        ])
    case .multiplies(let job, let kernel, let precision):
      logger.notice("multiplies", metadata: ["job": "\(job)", "kernel": "\(kernel)", "precision": "\(precision)"])
    case .kernelChanged(let job, let step, let from, let to):
      logger.warning(
        "the job goes on with another kernel; its last bits are others than on the first",
        metadata: ["job": "\(job)", "step": "\(step)", "from": "\(from)", "to": "\(to)"])
    case .checkpoint(let job, let step, let seconds):
      logger.debug(
        "checkpoint", metadata: ["job": "\(job)", "step": "\(step)", "milliseconds": "\(Int(seconds * 1000))"])
    }
  }
}
