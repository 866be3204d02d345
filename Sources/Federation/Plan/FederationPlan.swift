import Cryptography
package import Foundations
package import JobSpec
package import Models
package import Protocol
package import SecureSums

/// A charter with what follows from it for everybody: the id of the federation, who its parties are, which sums are taken in which order,
/// and how each one's vector is laid out. Every party with the same charter's bytes makes the same plan.
package struct FederationPlan: Sendable {
  package let charter: Charter
  /// SHA-256 of the charter's bytes, 32 of them.
  package let digest: [UInt8]
  /// Of all sites in the charter's order, as their connections prove them.
  package let siteKeys: [CurvePublicKey]
  package let aggregatorKey: CurvePublicKey
  /// The sites' places by their keys, as text.
  private let places: [String: Int]
  package let bits: BitPlan
  /// Nil where sums are not masked.
  package let roster: SumRoster?

  /// - Parameters:
  ///   - loaded: the charter and the bytes that its digest is of.
  ///   - siteKeys: the keys that it names, in its order.
  ///   - aggregatorKey: the key that it names.
  /// - Throws: `FederationError` for a strategy that would not be exact under the charter's masks, and for more colluders than the sums bear; `JobSpecError` for a key that two parties share; `FixedPointError` when the bounds leave no room for the sums; `SumError`.
  package init(_ loaded: Charter.Loaded, siteKeys: [CurvePublicKey], aggregatorKey: CurvePublicKey) throws {
    let charter = loaded.charter
    let digest = SHA256.hash(loaded.bytes).bytes
    self.charter = charter
    self.digest = digest
    self.siteKeys = siteKeys
    places = Dictionary(
      zip(siteKeys.map(\.z85), siteKeys.indices), uniquingKeysWith: { first, _ in first })
    self.aggregatorKey = aggregatorKey
    try charter.checkKeys(sites: siteKeys, aggregator: aggregatorKey)
    let settings = charter.federation
    let (strategy, strength) = (settings.strategy.kind, settings.masking.strength)
    guard strategy.largestGroup >= strength.largestGroup(onInput: false) else {
      throw FederationError.notExact(strategy: strategy, strength: strength)
    }
    bits = try BitPlan(
      updateClip: settings.fixedPoint.updateClip, rowsBound: settings.fixedPoint.rowsBound,
      statisticsBound: settings.fixedPoint.statisticsBound, sites: charter.sites.count,
      weightBound: settings.weighting == .rows ? settings.fixedPoint.rowsBound : 1)
    roster =
      try settings.threshold.map { threshold in
        try SumRoster(
          charterDigest: digest,
          sites: zip(charter.sites, siteKeys).map { SumRoster.Site(name: $0.name, publicKey: $1.bytes) },
          aggregatorKey: aggregatorKey.bytes, threshold: threshold, minimum: settings.participation.minimum)
      }
    if let privacy = settings.privacy, let roster { try Self.check(privacy, roster.protection) }
  }

  /// Shares of noise add up in a sum, and only while a sum is all that can be opened: an aggregator that lies and has more sites in league with
  /// it than the threshold bears gets two sums of one round, whose difference has the noise of few. With all but one declared each site's own
  /// noise is enough, whatever is opened.
  private static func check(_ privacy: PrivacyTarget, _ protection: SumProtection) throws(FederationError) {
    guard privacy.unit == .site, privacy.colluders > protection.colludersOfLiar,
      privacy.colluders < protection.minimum - 1
    else { return }
    throw .colluders(privacy.colluders, protection)
  }

  /// Reads the charter and the keys that it names.
  ///
  /// - Throws: as `init`, and what reading throws.
  package static func load(path: String, overrides: [String] = []) throws -> FederationPlan {
    let loaded = try Charter.load(path: path, overrides: overrides, files: [.keys, .columns])
    return try FederationPlan(
      loaded, siteKeys: loaded.charter.sites.map { try KeyFile.readPublicKey(at: $0.key) },
      aggregatorKey: try KeyFile.readPublicKey(at: loaded.charter.aggregator.key))
  }

  /// Names the federation in messages and stores: the first bytes of the digest.
  package var job: JobID { JobID(bytes: Array(digest.prefix(JobID.byteCount))) }

  /// What the aggregator does with the average of the updates.
  package var rule: ServerRule {
    let strategy = charter.federation.strategy
    return switch strategy.kind {
    case .fedavg, .fedprox, .scaffold: .average
    case .fedavgm: .momentum(strategy.beta1)
    case .fedadagrad: .adagrad(beta1: strategy.beta1, tau: strategy.tau)
    case .fedadam: .adam(beta1: strategy.beta1, beta2: strategy.beta2, tau: strategy.tau)
    case .fedyogi: .yogi(beta1: strategy.beta1, beta2: strategy.beta2, tau: strategy.tau)
    }
  }

  /// The place in the charter of a site's key; nil for a key that it does not name.
  package func index(of key: OwnerKey) -> Int? {
    places[key.z85]
  }

  // MARK: - Sums

  /// Whether sites report losses, metrics and numbers of rows. Under `federation.privacy` they do not: nothing of them has noise.
  package var hasStatistics: Bool { charter.federation.privacy == nil }

  /// All sums of a federation that runs to its last round.
  package var purposes: [SumPurpose] { purposes(rounds: charter.federation.rounds) }

  /// All sums of a federation that ends after `rounds` rounds.
  package func purposes(rounds: Int) -> [SumPurpose] {
    var purposes: [SumPurpose] = []
    if charter.data.standardize == .pooled { purposes += [.means, .deviations] }
    if charter.federation.classWeights == .balanced { purposes.append(.classCounts) }
    purposes += (0..<rounds).map { .update(round: $0) }
    return hasStatistics ? purposes + [.evaluation(rounds: rounds)] : purposes
  }

  /// Whether the charter has such a sum: what an aggregator may ask a site for.
  package func has(_ purpose: SumPurpose) -> Bool {
    let rounds = charter.federation.rounds
    return switch purpose {
    case .means, .deviations: charter.data.standardize == .pooled
    case .classCounts: charter.federation.classWeights == .balanced
    case .update(let round): round < rounds
    case .evaluation(let last):
      hasStatistics && (charter.federation.stopPatience == nil ? last == rounds : (1...rounds).contains(last))
    }
  }

  /// Places of the sites in the charter whose sum `purpose` is: of each round a sample where the charter asks for one, drawn from the charter's
  /// digest, so that everybody can check it; all for everything else.
  package func cohort(for purpose: SumPurpose) -> [Int] {
    let all = Array(charter.sites.indices)
    let count = charter.federation.participation.cohort(of: all.count)
    guard case .update(let round) = purpose, count < all.count else { return all }
    // Sites in the order of a hash that nobody chose.
    let ranked = all.map { site in
      (site, SHA256.hash(digest + Array("cohort/\(round)/\(site)".utf8)).bytes)
    }.sorted { $0.1.lexicographicallyPrecedes($1.1) }
    return ranked.prefix(count).map(\.0).sorted()
  }

  /// How the vector of a sum is laid out.
  ///
  /// - Parameters:
  ///   - entries: of the model's trained parameters together.
  ///   - columns: features of a row.
  /// - Throws: `FixedPointError` when it does not fit, or is too large.
  package func format(of purpose: SumPurpose, entries: Int, columns: Int) throws(FixedPointError) -> VectorFormat {
    var blocks: [VectorFormat.Block] = []
    switch purpose {
    case .means, .deviations:
      blocks = [
        VectorFormat.Block(name: VectorBlock.columns, count: columns, kind: bits.statistic),
        VectorFormat.Block(name: VectorBlock.rows, count: 1, kind: bits.rowCount),
      ]
    case .classCounts:
      blocks = [VectorFormat.Block(name: VectorBlock.classes, count: charter.data.classes.count, kind: bits.rowCount)]
    case .update:
      blocks = [VectorFormat.Block(name: VectorBlock.update, count: entries, kind: bits.update)]
      if charter.federation.strategy.kind.hasControlVariates {
        blocks.append(VectorFormat.Block(name: VectorBlock.controls, count: entries, kind: try controlKind()))
      }
      if hasStatistics { blocks += SiteStatistics.blocks(of: charter.task, bits) }
    case .evaluation: blocks = SiteStatistics.blocks(of: charter.task, bits)
    }
    return try VectorFormat(blocks: blocks, sites: charter.sites.count)
  }
}

/// Names of the blocks of a sum's vector.
package enum VectorBlock {
  package static let update = "update"
  package static let controls = "control variates"
  package static let columns = "columns"
  package static let classes = "classes"
  package static let rows = "rows"
  package static let statistics = "statistics"
  package static let counts = "counts"
}

/// What no federation can be, though each part of its charter is right.
package enum FederationError: Failure, Equatable {
  /// The strategy does not commute with the keys that the strength asks for.
  case notExact(strategy: StrategyDescription.Kind, strength: MaskingStrength)
  /// More sites may tell their noise than may be in league with an aggregator that lies.
  case colluders(Int, SumProtection)

  package var kind: FailureKind { .usage }

  package var description: String {
    switch self {
    case .notExact(let strategy, let strength):
      "federation.strategy \(strategy.rawValue) would not be exact under federation.masking.strength: \(strength.rawValue): it works entry "
        + "by entry, which rotations mix; set federation.masking.strength: permutation, or a strategy without an adaptive rule, such as fedavg"
    case .colluders(let colluders, let sums):
      "federation.privacy.colluders is \(colluders), and sums with a threshold of \(sums.threshold) of \(sums.sites) sites and a minimum of \(sums.minimum) "
        + "bear \(sums.colludersOfLiar) in league with an aggregator that lies: with more it opens two sums of a round, whose difference has "
        + "too little noise; lower colluders, raise federation.threshold to \((sums.sites + colluders) / 2 + 1), or set colluders to "
        + "\(sums.minimum - 1), so that each site's own noise is enough"
    }
  }
}
