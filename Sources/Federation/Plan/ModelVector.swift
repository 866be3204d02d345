import Cryptography
import JobSpec
import SecureSums

extension FederationPlan {
  /// Entries of the vector that stands for the global model in messages and files: its trained parameters, and for scaffold as many control
  /// variates c behind them, which the server moves with it and which are masked like the model. The hash of a model is that of all of them.
  ///
  /// - Parameter entries: of the model's trained parameters together.
  package func modelLength(entries: Int) -> Int {
    charter.federation.strategy.kind.hasControlVariates ? 2 * entries : entries
  }

  /// Of the control variates' changes: an unweighted sum (Karimireddy et al., 2020, algorithm 1: c ← c + 1/N Σ Δc_k over the sites that took
  /// part, of N in all), so that sites encode them with weight 1.
  ///
  /// - Throws: `FixedPointError`, for bounds that leave no room.
  func controlKind() throws(FixedPointError) -> VectorFormat.Kind {
    let bounds = charter.federation.fixedPoint
    return try BitPlan(
      updateClip: bounds.controlClip ?? bounds.updateClip, rowsBound: bounds.rowsBound,
      statisticsBound: bounds.statisticsBound, sites: charter.sites.count, weightBound: 1
    ).update
  }

  /// Entries in one message of an upload, of a model or of a starting model, at most: 512 KiB of 64-bit numbers, so that what is on its way
  /// from many sites at once is small beside a model.
  package static let pieceEntries = 1 << 16

  /// What a request names where its sum is about no model: 32 zeros.
  package static let noModel = [UInt8](repeating: 0, count: SHA256.byteCount)

  /// What a request for a sum names, so that no share is given unless all sites mean the same: the model, and everything that the sites were
  /// told of sums before it, such as what columns are standardised with.
  ///
  /// The model's hash itself where nothing was pooled; otherwise SHA-256 of it and of the hash of each pooled sum's values (64-bit little-endian
  /// floats), in the order of the sums.
  ///
  /// - Parameters:
  ///   - model: its hash; `noModel` for none.
  ///   - pooled: the values that a site holds, or that the aggregator has sent; nil for a sum that is not done.
  package func subject(
    of purpose: SumPurpose, model: [UInt8], pooled: (SumPurpose) throws -> [Double]?
  ) rethrows -> [UInt8] {
    let before = purposes.prefix { $0 != purpose }.filter(\.isPooled)
    guard !before.isEmpty else { return model }
    var hash = SHA256()
    hash.update(model)
    for purpose in before {
      let values = try pooled(purpose) ?? []
      hash.update(
        SHA256.hash(values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } }).bytes)
    }
    return hash.finalize().bytes
  }
}
