import Cryptography
import Datasets
package import Federation
import Foundation
import Foundations
package import JobSpec
import Masking
import Models
import Numerics
package import OwnerRole

/// A site's rows under the charter: columns and classes in the charter's order, the site's own split, and the plan of all its local batches.
package struct PreparedSite: Sendable {
  package let prepared: PreparedJob
  package let specification: SiteSpecification
  /// Optimizer steps a round.
  package let stepsPerRound: Int

  /// Opens the site's file.
  ///
  /// - Throws: `DatasetError`, `OwnerError` for data that does not fit the charter, by name: a missing or doubled column, an unknown class, a
  ///   survival without events, more rows than the charter's bound, under privacy of records fewer than a batch.
  package init(_ specification: SiteSpecification, plan: FederationPlan) throws {
    self.specification = specification
    let charter = plan.charter
    let agreement = DataAgreement(
      columns: charter.data.columns.isEmpty ? nil : charter.data.columns, columnNames: specification.data.columns,
      classes: charter.data.classes.isEmpty ? nil : charter.data.classes)
    var steps = 0
    prepared = try PreparedJob(
      job: charter.job(for: specification),
      secret: OrderSecret(
        shared: Self.orderSecret(plan.digest, site: specification.name), seed: charter.train.seed),
      agreement: agreement
    ) { job, rows in
      guard rows <= charter.federation.fixedPoint.rowsBound else {
        throw OwnerError.unfitData(
          "\(specification.data.file) has \(rows) training rows, more than the charter's federation.fixed_point.rows_bound, "
            + "\(charter.federation.fixedPoint.rowsBound); the parties must agree on a larger one")
      }
      let isDrawn = charter.federation.privacy?.unit == .record
      guard !isDrawn || rows >= charter.train.batch else {
        throw OwnerError.unfitData(
          "\(specification.data.file) has \(rows) training rows, fewer than the charter's train.batch, \(charter.train.batch): under "
            + "federation.privacy every step draws that many on average; the parties must agree on a smaller batch, or leave this site out"
        )
      }
      let local = LocalPlan(charter, rows: rows)
      guard local.passes <= TrainingLimits.passes else {
        throw OwnerError.unfitJob(
          "\(charter.federation.rounds) rounds of the charter's federation.local go through the \(rows) training rows of "
            + "\(specification.data.file) \(local.passes) times; at most \(TrainingLimits.passes) passes are supported: the parties must agree "
            + "on fewer rounds or local steps")
      }
      steps = local.stepsPerRound
      return local.adjusted(job, charter)
    }
    stepsPerRound = steps
  }

  /// Public: orders need no secrecy from anybody who has the charter, and everybody who has the site's file can draw them again.
  private static func orderSecret(_ digest: [UInt8], site: String) -> SecretBuffer {
    let bytes = digest + Array("site/\(site)".utf8)
    return bytes.withUnsafeBytes { SecretBuffer(copying: $0) }
  }

  /// What starting weights are drawn from: the group's key, or the charter's digest where nothing is masked.
  static func startingSecret(_ plan: FederationPlan, _ group: GroupKey?) -> OrderSecret {
    let secret =
      group?.startingWeights(charter: plan.digest) ?? plan.digest.withUnsafeBytes { SecretBuffer(copying: $0) }
    return OrderSecret(shared: secret, seed: plan.charter.train.seed)
  }

  /// SHA-256, in hexadecimal, of the names of the columns that the model takes.
  package var columnDigest: String {
    SHA256.hash(Array((prepared.names.columns ?? []).joined(separator: "\n").utf8)).bytes.hexadecimal
  }
}

/// How many steps a site makes in a round, of how many rows, and how many passes over its rows all rounds take.
private struct LocalPlan {
  let batch: Int
  let stepsPerRound: Int
  let passes: Int

  init(_ charter: Charter, rows: Int) {
    let rounds = charter.federation.rounds
    let work = charter.federation.local
    let batch = work == .full ? rows : min(charter.train.batch, rows)
    let stepsPerPass = (rows + batch - 1) / batch
    self.batch = batch
    switch work {
    case .updates(let updates):
      stepsPerRound = updates
      passes = (rounds * updates + stepsPerPass - 1) / stepsPerPass
    case .epochs(let epochs):
      stepsPerRound = epochs * stepsPerPass
      passes = rounds * epochs
    case .full:
      stepsPerRound = 1
      passes = rounds
    }
  }

  func adjusted(_ job: ResolvedJob, _ charter: Charter) -> ResolvedJob {
    let isSurvival = job.task == .survival
    var microBatch = min(job.train.microBatch, batch)
    if isSurvival { microBatch = batch }
    // A model whose input layer is homogeneous is masked with a padding column, as in a job.
    var padding = 0
    if case .mlp = job.model, charter.federation.masking.strength != .none { padding = 1 }
    return ResolvedJob(
      name: job.name, trainer: job.trainer, data: job.data, task: job.task, model: job.model,
      masking: MaskingDescription(
        strength: job.masking.strength, padding: padding, exact: true, shuffleTokens: job.masking.shuffleTokens,
        baseModel: job.masking.baseModel), lossLocation: .owner,
      optimizer: job.optimizer, schedule: job.schedule,
      train: JobTraining(
        epochs: passes, batch: batch, microBatch: microBatch, seed: job.train.seed, keep: .last,
        recompute: job.train.recompute, precision: job.train.precision), checkpointEverySteps: job.checkpointEverySteps)
  }
}
