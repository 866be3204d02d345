import Logging
import Protocol
import ServerProgram
import TrainerRole

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
    case .checkpoint(let job, let step, let seconds):
      logger.debug(
        "checkpoint", metadata: ["job": "\(job)", "step": "\(step)", "milliseconds": "\(Int(seconds * 1000))"])
    }
  }
}
