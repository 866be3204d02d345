import Cryptography
import Federation
import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import OwnerRole
import Privacy
import SecureSums
import Training

/// How much of its ε a site has spent.
package struct SpentPrivacy: Sendable, Equatable {
  /// By the tighter accountant.
  package let epsilon: Double
  package let target: Double
}

/// A site's side of `federation.privacy` during a run: the noise, the secret that it is drawn from, and the ledger.
///
/// What is drawn depends on the secret, the charter, the site, the round and the model's hash alone: the same bits when a round is made again, fresh
/// ones for any other round or model.
final class SitePrivacy {
  let plan: PrivacyPlan
  private let secret: PrivacySecret
  private let ledger: PrivacyLedger
  private let spending: SpendingProgress
  /// Part of everything that is drawn for.
  private let context: String
  private let isProvided: Bool

  /// Takes up what the run directory holds, or begins it: ledger and secret are on the disk before anything is drawn from them.
  ///
  /// - Parameters:
  ///   - entries: of the model's trained parameters together.
  ///   - directory: open, and no other process's.
  ///   - given: the secret of a run that begins; nil for a new one.
  ///   - isProvided: whether a provider makes the site's local steps.
  /// - Returns: nil where the charter asks for no privacy.
  /// - Throws: `SiteError.privacy` for a charter whose bounds do not hold the noise, and for a ledger or a secret that is not the run's; `PrivacyError` for an ε that
  ///   cannot be kept; `MaskingError` for a secret that others can read; `FileError`.
  init?(
    _ federation: FederationPlan, site: Int, trainingRows: Int, entries: Int, directory: SiteDirectory,
    secret given: PrivacySecret? = nil, isProvided: Bool = false
  ) throws {
    self.isProvided = isProvided
    let charter = federation.charter
    let known = try PrivacyLedger.terms(of: directory.ledger.path)
    let found =
      try known.map {
        try PrivacyPlan(charter, trainingRows: trainingRows, noiseMultiplier: $0.noiseMultiplier)
      } ?? PrivacyPlan(charter, trainingRows: trainingRows)
    guard let plan = found else { return nil }
    self.plan = plan
    try plan.checkUpdateClip(charter, entries: entries)
    spending = try SpendingProgress(plan: [plan.mechanism], delta: plan.target.delta)
    guard spending.whole.epsilon <= plan.target.epsilon else {
      throw SiteError.privacy(
        "all rounds would spend ε \(QuantityText.fixed(spending.whole.epsilon, 4)) at δ \(plan.target.delta) with the noise of "
          + "\(directory.ledger.path), more than the charter's \(plan.target.epsilon)")
    }
    let file = PrivacySecretFile(path: directory.privacySecret.path)
    let hasSecret = FileManager.default.fileExists(atPath: file.path)
    guard known != nil || !hasSecret else {
      throw SiteError.privacy("\(directory.ledger.path) is gone, and nobody knows what is spent; nothing more is sent")
    }
    ledger = try PrivacyLedger(path: directory.ledger.path, plan: plan)
    guard hasSecret || ledger.entries.isEmpty else {
      throw SiteError.privacy(
        "\(file.path) is gone, and updates that are made again would have other noise than those that left; nothing more is sent"
      )
    }
    // The secret's place in the directory is synced, and the ledger's with it.
    if !hasSecret { try file.write(given ?? PrivacySecret()) }
    secret = try file.read()
    context = "charter \(federation.digest.hexadecimal)/site \(charter.sites[site].name)"
  }

  /// A site that lost its run directory, and with it its ledger, finds that out here.
  ///
  /// - Parameter records: of the site's history, or as the aggregator sends them.
  /// - Throws: `SiteError.privacy` for a round that was summed with this site's update and is not counted.
  func check(_ records: [SumRecord], site: String) throws {
    for record in records where record.survivors.contains(site) {
      guard case .update(let round)? = SumPurpose(record.purpose), !ledger.counts(round: round) else { continue }
      throw SiteError.privacy(
        "round \(round + 1) had this site's update, and this run directory's ledger does not count it (\(ledger.path)): go on with the one that the "
          + "site took part with; nothing more is sent")
    }
  }

  /// - Parameters:
  ///   - features: the hash of all values in the order of the file.
  ///   - repeated: the run whose secret this one uses.
  /// - Throws: `SiteError.privacy` for other rows than that run's.
  static func check(_ prepared: PreparedJob, features: UInt64, areRowsOf repeated: SiteDirectory) throws {
    guard let difference = try DataDigest.difference(prepared, features: features, from: repeated.run) else { return }
    throw SiteError.privacy(
      "the rows of \(prepared.job.data.file) are not those of the run in \(repeated.run.root.path), whose secret is to be used again: \(difference) "
        + "differ, and one noise on two data sets shows their difference; give that run's files, or leave --secrets-of out"
    )
  }

  // MARK: - Spending

  /// Counts the update of a round before it leaves.
  ///
  /// - Parameters:
  ///   - model: hash of the model that it is of, hexadecimal.
  ///   - entries: the vector as it is before one-time masks.
  /// - Throws: as `PrivacyLedger.count`.
  func count(round: Int, model: String, entries: [UInt64]) throws {
    let digest = entries.withUnsafeBytes { bytes in
      var hash = SHA256()
      hash.update(bytes)
      return hash.finalize().bytes
    }
    try ledger.count(PrivacyLedger.Entry(round: round, model: model, update: digest.hexadecimal))
  }

  /// Some hundredths of a second, so once a round.
  var spent: SpentPrivacy {
    get throws {
      SpentPrivacy(epsilon: try spending.spent(after: ledger.steps).epsilon, target: plan.target.epsilon)
    }
  }

  /// What has been spent, by both accountants.
  func report() throws -> PrivacyReport {
    try PrivacyReport(
      plan, rounds: ledger.entries.count, spent: spending.spent(after: ledger.steps), isProvided: isProvided)
  }

  // MARK: - Noise

  /// What a round's noise is drawn from.
  private func roundSecret(_ round: Int, model: String, of party: String = "") -> SecretBuffer {
    secret.derived("\(context)/round \(round)/model \(model)\(party)")
  }

  /// `unit: site`: the update clipped to norm C, and this site's share of the noise on top, in double precision. What rounds it after that, keys and fixed point, works on
  /// numbers that have their noise. Columns of padding, which are 0 in every model, stay 0.
  ///
  /// - Parameters:
  ///   - updates: of the trained parameters in their order.
  ///   - model: hash of the model that they are of, hexadecimal.
  /// - Throws: `FixedPointError.notFinite` for an update that is no number.
  func noised(
    _ updates: [Tensor<Float>], _ specifications: [ParameterSpecification], round: Int, model: String, workers: Workers
  ) throws -> [Tensor<Float>] {
    if let place = updates.flatMap(\.elements).firstIndex(where: { !$0.isFinite }) {
      throw FixedPointError.notFinite(block: VectorBlock.update, index: place)
    }
    let norm = updates.reduce(0) { $0 + $1.elements.reduce(0) { $0 + Double($1) * Double($1) } }.squareRoot()
    let scale = norm > plan.target.clipNorm ? plan.target.clipNorm / norm : 1
    let source = NoiseSource(secret: roundSecret(round, model: model), context: "site update")
    let deviation = try plan.ownDeviation
    return zip(updates, specifications).enumerated().map { number, pair in
      let (update, specification) = pair
      var values = update.elements.map { scale * Double($0) }
      values.withUnsafeMutableBufferPointer {
        source.add(deviation: deviation, label: "parameter \(number)", to: $0, workers: workers)
      }
      if let columns = specification.homogeneous, columns.padding > 0 {
        for place in values.indices where place % columns.width > columns.features { values[place] = 0 }
      }
      return Tensor(values.map { Float($0) }, shape: update.shape)
    }
  }

  /// `unit: record`: the noise of a round's local steps; nil for `unit: site`.
  func stepNoise(round: Int, model: String) -> RoundNoise? {
    guard plan.target.unit == .record else { return nil }
    return RoundNoise(
      own: roundSecret(round, model: model), provider: roundSecret(round, model: model, of: "/provider"))
  }

  /// `unit: record`: which rows each local step takes, from the run's first on, and how their gradients are clipped; nil for `unit: site`.
  ///
  /// - Throws: `TrainingError` for settings that no step can have.
  func localSteps(_ charter: Charter, trainingRows: Int) throws -> PrivateSteps? {
    guard plan.target.unit == .record else { return nil }
    return PrivateSteps(
      sampling: try PoissonSampling(
        secret: secret.derived("\(context)/batches"), context: "local steps", rows: trainingRows,
        expectedBatch: charter.train.batch),
      clipping: try SampleClipping(clipNorm: plan.target.clipNorm, expectedBatch: Double(charter.train.batch)),
      noiseMultiplier: plan.mechanism.noiseMultiplier)
  }
}

extension PrivateSteps {
  /// The batches of all rounds, for `plan.h5`. Secret like the rest of a run directory: who knows which rows a step took has more than ε allows for.
  func drawn(rounds: Int, of data: PreparedSite) -> DrawnBatches {
    let rowOfSlot = data.prepared.plan.rowOfSlot
    return DrawnBatches(steps: rounds * data.stepsPerRound, columns: sampling.capacity) { step in
      try sampling.batch(step: step).map { rowOfSlot[Int($0)] }
    }
  }
}
