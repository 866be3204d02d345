import Foundation
import Numerics

/// What happens during an audit, for who waits for it.
package enum AuditProgress: Sendable {
  /// Steps of an observed training run, done and in all.
  case step(Int, of: Int)
  /// What is done next, or a warning, as a line.
  case line(String)
}

/// What audits of every kind have in common: how their time is shared out, the attacks, and the report.
struct AuditFrame {
  private let start: ContinuousClock.Instant
  private let minutes: Double
  private let program: String
  private let compute: Compute

  private var allowed: Duration { .seconds(60 * minutes) }

  /// The time runs from now on.
  ///
  /// - Parameters:
  ///   - minutes: for evidence and attacks together.
  ///   - program: that makes the report.
  init(minutes: Double, program: String, compute: Compute) {
    start = ContinuousClock().now
    self.minutes = minutes
    self.program = program
    self.compute = compute
  }

  /// Evidence has half of the time.
  var evidenceEnd: ContinuousClock.Instant { start + allowed / 2 }

  /// Attacks what was gathered.
  func report(
    _ evidence: Evidence, of subject: AuditSubject, deployment: DeploymentTraits? = nil,
    observe: (AuditProgress) -> Void
  ) -> AuditReport {
    let clock = ContinuousClock()
    // Opening a file is not bounded, nor is the first step of a run; a quarter of the time is the attacks' in any case.
    let left = max(allowed / 4, allowed - start.duration(to: clock.now))
    let attacks = Audit(evidence, compute: compute).run(within: left) { title, number, count in
      observe(.line("attack \(number + 1) of \(count): \(title)"))
    }
    return AuditReport(
      job: evidence.traits, jobDigest: subject.jobDigest, dataDigest: subject.dataDigest,
      checkpointDigest: subject.checkpointDigest, created: Date.now.formatted(.iso8601), program: program,
      rowsSeen: evidence.masked.inputs.rows, isViewCutShort: evidence.isCutShort,
      publicRows: evidence.knowledge.sampleRows.rows, minutes: minutes,
      seconds: start.duration(to: clock.now) / .seconds(1), attacks: attacks, noiseCost: evidence.noiseCost,
      noiseCostMissing: evidence.noiseCostMissing, deployment: deployment)
  }
}
