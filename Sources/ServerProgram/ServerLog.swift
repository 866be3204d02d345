import Foundations
import Foundation
package import Logging
import Protocol
import Service

/// Puts what every server does into log lines.
package struct ServerLog: Sendable {
  package let logger: Logger

  /// - Parameters:
  ///   - rank: nil for what the environment says.
  ///   - block: stays at the foot of the terminal below the log's lines.
  package init(
    program: String, format: LogFormat, level: Logger.Level, rank: Int? = nil, block: StatusBlock? = nil
  ) {
    let rank = rank ?? ProcessRank.read(from: ProcessInfo.processInfo.environment)
    var logger = Logger(label: program) { _ in
      switch format {
      case .text: TextLogHandler(block: block)
      case .json: JSONLogHandler(rank: rank)
      }
    }
    logger.logLevel = level
    self.logger = logger
  }

  func starting(endpoint: String?, connecting: [String], owners: Int, details: Logger.Metadata) {
    let place: Logger.Metadata = [
      "endpoint": "\(([endpoint].compactMap(\.self) + connecting).joined(separator: ","))", "owners": "\(owners)",
    ]
    logger.notice(
      endpoint == nil ? "connecting" : "listening", metadata: place.merging(details, uniquingKeysWith: { $1 }))
  }

  func servingMetrics(at address: String) {
    logger.notice("serving metrics", metadata: ["address": "\(address)", "path": "/metrics"])
  }

  func refused(_ refusal: Refusal) {
    logger.warning("peer refused", metadata: ["reason": "\(refusal)"])
  }

  func record(_ change: EventLog.Change) {
    switch change {
    case .failed(let reason):
      logger.error(
        "the event log cannot be written; no job is accepted until it can, running jobs go on",
        metadata: ["reason": "\(reason)"])
    case .mended: logger.notice("the event log can be written again")
    }
  }

  /// Logs nothing of what one role alone tells.
  func record<Role>(_ event: ServiceEvent<Role>) {
    switch event {
    case .jobStarted(let job, let step): logger.notice("job started", metadata: ["job": "\(job)", "step": "\(step)"])
    case .jobQueued(let job, let position):
      logger.info("job queued", metadata: ["job": "\(job)", "position": "\(position)"])
    case .jobPaused(let job, let step, let reason):
      logger.notice("job paused", metadata: ["job": "\(job)", "step": "\(step)", "reason": "\(reason)"])
    case .stopAwaited(let job, let seconds):
      logger.notice(
        "asked to stop; waiting until all ranks have done the job's step and its checkpoint is written",
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
    case .role: break
    }
  }
}
