import Foundation
import Logging
import Numerics
import TrainerRole
import Protocol

/// Puts what the trainer does into log lines.
struct TrainerLog: Sendable {
  let logger: Logger

  /// - Parameter rank: nil for what the environment says.
  static func make(format: LogFormat, level: Logger.Level, rank: Int? = nil) -> Logger {
    let rank = rank ?? ProcessRank.read(from: ProcessInfo.processInfo.environment)
    var logger = Logger(label: "trainer") { _ in
      switch format {
      case .text: TextLogHandler()
      case .json: JSONLogHandler(rank: rank)
      }
    }
    logger.logLevel = level
    return logger
  }

  func starting(endpoint: String?, connecting: [String], owners: Int, threads: Int, ranks: Int) {
    logger.notice(
      endpoint == nil ? "connecting" : "listening",
      metadata: [
        "endpoint": "\(([endpoint].compactMap(\.self) + connecting).joined(separator: ","))", "owners": "\(owners)",
        "threads": "\(threads)", "ranks": "\(ranks)", "kernel": "\(KernelChoice.ofThisProcess.summary)",
      ])
    if let advice = KernelChoice.ofThisProcess.advice { logger.warning("\(advice)") }
  }

  func servingMetrics(at address: String) {
    logger.notice("serving metrics", metadata: ["address": "\(address)", "path": "/metrics"])
  }

  func refused(_ refusal: Refusal) {
    logger.warning("peer refused", metadata: ["reason": "\(refusal)"])
  }

  func record(_ change: AuditLog.Change) {
    switch change {
    case .failed(let reason):
      logger.error(
        "the audit log cannot be written; no job is taken until it can, running jobs go on",
        metadata: ["reason": "\(reason)"])
    case .mended: logger.notice("the audit log can be written again")
    }
  }

  func record(_ event: TrainerEvent) {
    switch event {
    case .jobAccepted(let job, let owner, let parameters, let steps):
      logger.notice(
        "job accepted",
        metadata: ["job": "\(job)", "owner": "\(owner)", "parameters": "\(parameters)", "steps": "\(steps)"])
    case .jobStarted(let job, let step): logger.notice("job started", metadata: ["job": "\(job)", "step": "\(step)"])
    case .jobQueued(let job, let position):
      logger.info("job queued", metadata: ["job": "\(job)", "position": "\(position)"])
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
    case .checkpoint(let job, let step, let seconds):
      logger.debug(
        "checkpoint", metadata: ["job": "\(job)", "step": "\(step)", "milliseconds": "\(Int(seconds * 1000))"])
    case .jobPaused(let job, let step, let reason):
      logger.notice("job paused", metadata: ["job": "\(job)", "step": "\(step)", "reason": "\(reason)"])
    case .stopAwaited(let job, let seconds):
      logger.notice(
        "asked to stop; waiting for the job's step, by all ranks, and its checkpoint",
        metadata: ["job": "\(job)", "seconds": "\(seconds)"])
    case .jobFinished(let job, let steps):
      logger.notice("job finished", metadata: ["job": "\(job)", "steps": "\(steps)"])
    case .jobRemoved(let job, let reason):
      logger.notice("job removed", metadata: ["job": "\(job)", "reason": "\(reason)"])
    case .jobFailed(let job, let reason):
      logger.error("job failed", metadata: ["job": "\(job)", "reason": "\(reason)"])
    case .ownerGreeted(let owner, let software):
      logger.info("owner connected", metadata: ["owner": "\(owner)", "software": "\(software)"])
    case .ownerSilent(let owner, let job):
      logger.warning("owner silent; its job is saved", metadata: ["owner": "\(owner)", "job": "\(job)"])
    case .ownerRemoved(let owner, let job):
      logger.warning("owner no longer listed; its job is kept", metadata: ["owner": "\(owner)", "job": "\(job)"])
    case .refused(let owner, let job, let reason):
      var metadata: Logger.Metadata = ["owner": "\(owner ?? "-")", "reason": "\(reason)"]
      if job != .none { metadata["job"] = "\(job)" }
      logger.warning("refused", metadata: metadata)
    }
  }
}
