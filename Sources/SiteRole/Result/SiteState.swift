import Cryptography
import Federation
import Files
import Foundation
import Foundations
import Numerics
import OwnerRole
import SecureSums

/// What a site keeps in `state/` of what it was told and of what it sent: each file says by itself whether it is what was written.
extension SiteDirectory {
  // MARK: - Pooled sums

  /// Version 1 was the list of values alone.
  private struct PooledSums: Codable {
    static let currentVersion = 2

    var version = currentVersion
    let values: [Double]
  }

  private func pooledFile(_ purpose: SumPurpose) -> URL {
    run.state.appending(path: "pooled-\(purpose.description.replacing(" ", with: "-")).json")
  }

  /// What the aggregator said that a sum came to; nil where it has not.
  ///
  /// - Throws: `SiteError.damaged`; `FileError`.
  func pooled(_ purpose: SumPurpose) throws -> [Double]? {
    let file = pooledFile(purpose)
    guard let bytes = try content(of: file, limit: 1 << 28) else { return nil }
    if case (let kept, true)? = CheckedJSON.decode(PooledSums.self, from: bytes),
      kept.version == PooledSums.currentVersion
    {
      return kept.values
    }
    if let values = try? JSONDecoder().decode([Double].self, from: bytes) { return values }
    throw SiteError.damaged(
      path: file.path, "is not what was written: remove it, and resume; the aggregator sends these sums again")
  }

  func store(_ values: [Double], of purpose: SumPurpose) throws {
    try AtomicFile.write(try CheckedJSON.encode(PooledSums(values: values)), to: pooledFile(purpose).path)
  }

  // MARK: - Models

  /// By rounds from 0, the SHA-256 of the model that the site's update is of. Version 1 was the table alone.
  private struct KnownModels: Codable {
    static let currentVersion = 2

    var version = currentVersion
    var models: [String: String] = [:]
  }

  private var modelsFile: URL { run.state.appending(path: "models.json") }

  private func knownModels() throws -> KnownModels {
    guard let bytes = try content(of: modelsFile, limit: 1 << 28) else { return KnownModels() }
    if case (let kept, true)? = CheckedJSON.decode(KnownModels.self, from: bytes),
      kept.version == KnownModels.currentVersion
    {
      return kept
    }
    if let models = try? JSONDecoder().decode([String: String].self, from: bytes) { return KnownModels(models: models) }
    throw SiteError.damaged(
      path: modelsFile.path,
      "is not what was written: put it back as it was; without it this site cannot tell whether it is asked for two updates of one model"
    )
  }

  /// Keeps which model this site's update of a round is of. Two updates of one model, or of two models in one round, would show in the
  /// difference of two sums what one site sent.
  ///
  /// - Parameters:
  ///   - model: SHA-256, in hexadecimal.
  ///   - mayRecur: whether another round may have begun with it: where every update has noise of its own, and all rounds are counted.
  /// - Throws: `SiteError.aggregatorLies` for another model in the same round, and for one that another round began with;
  ///   `SiteError.damaged`; `FileError`.
  func remember(model: String, round: Int, mayRecur: Bool = false) throws {
    var known = try knownModels()
    for (other, hash) in known.models {
      if other == "\(round)", hash != model {
        throw SiteError.aggregatorLies("the aggregator asks for round \(round + 1) of two models")
      }
      if !mayRecur, other != "\(round)", hash == model {
        throw SiteError.aggregatorLies("the aggregator asks for the update of one model in two rounds")
      }
    }
    guard known.models.updateValue(model, forKey: "\(round)") == nil else { return }
    try AtomicFile.write(try CheckedJSON.encode(known), to: modelsFile.path)
  }

  private func content(of file: URL, limit: Int) throws -> Data? {
    do {
      return try SmallFile.read(file.path, limit: limit)
    } catch FileError.file(let path, let problem) {
      throw SiteError.damaged(path: path, "\(problem); put it back as it was")
    }
  }

  // MARK: - What a run has come to

  /// Whether nothing has come of the run: it was refused, or ended before keys for its sums were made, and nothing that it holds has left it.
  var isUnused: Bool {
    get throws {
      let records = RegularFile.exists(run.history.path) ? try SiteHistory.lines(of: run.history.path).count : 0
      return try records == 0 && !PrivacyLedger.hasEntries(ledger.path) && !RoundJobs.mayHaveJobs(of: provider)
        && ![sums, modelsFile, run.summary].contains { RegularFile.exists($0.path) }
    }
  }

  /// Removes what a run that nothing has come of has written, but for what says whose it is.
  func clear() throws {
    // The secret first: a ledger without entries may be without one.
    for file in [
      privacySecret, ledger, run.dataDigest, run.standardization, run.resolvedJob, run.plan, run.initialWeights,
      run.names,
      run.history, ownScores, privacyReport, run.root.appending(path: "charter.resolved.yaml"),
      pooledFile(.means), pooledFile(.deviations), pooledFile(.classCounts),
    ] {
      try Directory.remove(file.path)
    }
    if FileManager.default.fileExists(atPath: provider.path) { try FileManager.default.removeItem(at: provider) }
  }

  /// Whether this site has made no update, and none of any site is in a sum: the model that all begin with may still be another.
  var isBeforeFirstUpdate: Bool {
    get throws {
      guard !RegularFile.exists(modelsFile.path) else { return false }
      return try !SiteHistory(self).records.contains { record in
        if case .update? = SumPurpose(record.purpose) { true } else { false }
      }
    }
  }

  /// That the digest of the rows is there once something was made of them: without it other rows would be trained on unnoticed.
  ///
  /// - Throws: `SiteError.damaged`; `FileError`.
  func checkDataDigest() throws {
    let file = run.dataDigest.path
    guard !RegularFile.exists(file) else { return }
    let isBegun = try RegularFile.exists(modelsFile.path) || PrivacyLedger.hasEntries(ledger.path)
    guard isBegun else { return }
    throw SiteError.damaged(
      path: file,
      "is gone, and without it nobody knows whether the rows are still those that this run began with: put it back, or begin anew with "
        + "another --out")
  }

  // MARK: - Secure sums

  /// Keys and shares of the secure sums as `store(sums:)` was given them last; nil before that.
  ///
  /// - Throws: `SiteError.damaged`; `FileError`.
  func withSums<Value>(_ body: (UnsafeRawBufferPointer?) throws -> Value) throws -> Value {
    do {
      return try SumStateFile.withState(sums.path, body)
    } catch FileError.file(let path, let problem) {
      throw SiteError.damaged(path: path, "\(problem); \(Self.sumsAdvice)")
    } catch SumError.state(let what) {
      throw SiteError.damaged(path: sums.path, "is no state of sums (\(what)); \(Self.sumsAdvice)")
    }
  }

  func store(sums bytes: UnsafeRawBufferPointer) throws {
    try SumStateFile.write(bytes, to: sums.path)
  }

  private static let sumsAdvice =
    "put it back as it was when this program ended last, never an older copy, which could use keys twice; without it this site cannot go on "
    + "until keys are set up anew"
}
