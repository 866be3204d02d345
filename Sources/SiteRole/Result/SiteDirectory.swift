import Datasets
package import Federation
import Files
package import Foundation
import Foundations
import JobSpec
package import Models
import Numerics
package import OwnerRole
import Protocol

/// The run directory of a site: that of a job, with what a federation needs beside it in `state/`.
package struct SiteDirectory: Sendable {
  package let run: RunDirectory

  package init(root: URL) {
    run = RunDirectory(root: root)
  }

  private var identityFile: URL { run.siteIdentity }
  /// Whether the run is over: the summary is written last.
  package var isFinished: Bool { FileManager.default.fileExists(atPath: run.summary.path) }
  /// What noise and batches of a private run are drawn from.
  package var privacySecret: URL { run.state.appending(path: "privacy.key") }
  /// What a private run has spent.
  package var ledger: URL { run.state.appending(path: "ledger.jsonl") }
  package var ownScores: URL { run.root.appending(path: "own_scores.jsonl") }
  package var privacyReport: URL { run.root.appending(path: "privacy.json") }

  /// Keys and shares of the secure sums, secret.
  var sums: URL { run.state.appending(path: "sums.state") }

  private func pooledFile(_ purpose: SumPurpose) -> URL {
    run.state.appending(path: "pooled-\(purpose.description.replacing(" ", with: "-")).json")
  }

  /// Which federation the directory is of, and which site of it.
  struct Identity: Codable, Equatable {
    var version = 1
    /// SHA-256 of the charter, in hexadecimal.
    let charter: String
    let site: String
    /// The site's public key, z85.
    let key: String
  }

  /// Begins a run directory, or finds the one that is to go on.
  ///
  /// - Throws: `SiteError.otherRun`, `OwnerError.run`, `FileError`.
  package func open(_ plan: FederationPlan, site: Int, resuming: Bool) throws {
    let identity = Identity(
      charter: plan.digest.hexadecimal, site: plan.charter.sites[site].name, key: plan.siteKeys[site].z85)
    let known = try RunFile.read(Identity.self, from: identityFile) { $0.version == 1 }
    guard resuming else {
      if known != nil {
        throw SiteError.otherRun(
          "\(run.root.path) already holds a site's run; go on with it by --resume, or choose another --out")
      }
      try run.create()
      return try RunFile.write(identity, to: identityFile)
    }
    guard let known else {
      throw SiteError.otherRun("\(run.root.path) holds no site's run to go on with; leave --resume out to begin one")
    }
    guard known == identity else {
      let what =
        known.charter != identity.charter
        ? "under another charter" : known.site != identity.site ? "for the site \(known.site)" : "with another key"
      throw SiteError.otherRun("the run in \(run.root.path) was begun \(what); choose another --out")
    }
  }

  /// The jobs that a provider may have of this site, and their key.
  ///
  /// - Throws: as `RoundJobs`.
  package func providerJobs(_ plan: FederationPlan, masking: MaskingDescription) throws -> RoundJobs {
    try RoundJobs(run.state.appending(path: "provider"), for: plan.job, masking: masking)
  }

  // MARK: - Pooled sums

  func pooled(_ purpose: SumPurpose) throws -> [Double]? {
    try RunFile.read([Double].self, from: pooledFile(purpose), limit: 1 << 28)
  }

  func store(_ values: [Double], of purpose: SumPurpose) throws {
    try RunFile.write(values, to: pooledFile(purpose))
  }

  // MARK: - Models

  private var modelsFile: URL { run.state.appending(path: "models.json") }

  /// Keeps which model this site's update of a round is of. Two updates of one model, or of two models in one round, would show in the
  /// difference of two sums what one site sent.
  ///
  /// - Parameter model: SHA-256, in hexadecimal.
  /// - Throws: `SiteError.aggregatorLies` for a model that another round began with, and for another one in the same round.
  func remember(model: String, round: Int) throws {
    var known = try RunFile.read([String: String].self, from: modelsFile) ?? [:]
    for (other, hash) in known {
      if other == "\(round)", hash != model {
        throw SiteError.aggregatorLies("the aggregator asks for round \(round + 1) of two models")
      }
      if other != "\(round)", hash == model {
        throw SiteError.aggregatorLies("the aggregator asks for the update of one model in two rounds")
      }
    }
    guard known.updateValue(model, forKey: "\(round)") == nil else { return }
    try RunFile.write(known, to: modelsFile)
  }

  // MARK: - Control variates

  /// c_k after the site took part in so many rounds' sums, of the last that is not after `rounds`; nil while it is all zeros.
  func controls(before rounds: Int, count: Int) throws -> [Float]? {
    let known = (0...rounds).last { FileManager.default.fileExists(atPath: controlsFile($0, isPending: false).path) }
    guard let known else { return nil }
    let tensor: Tensor<Float> = try SafetensorsFile(path: controlsFile(known, isPending: false).path).tensor("controls")
    guard tensor.count == count else {
      throw OwnerError.run("\(run.state.path) holds control variates of another model")
    }
    return tensor.elements
  }

  /// Keeps what c_k becomes if the update of `round` is in the sum.
  func storePending(_ controls: [Float], round: Int) throws {
    try SafetensorsFile.write(
      [SafetensorsTensor("controls", Tensor(controls, shape: [controls.count]))],
      to: controlsFile(round + 1, isPending: true).path)
  }

  /// The sum of a round's updates is done, with or without this site's.
  func settle(round: Int, tookPart: Bool) throws {
    let pending = controlsFile(round + 1, isPending: true)
    guard FileManager.default.fileExists(atPath: pending.path) else { return }
    if tookPart {
      let controls: Tensor<Float> = try SafetensorsFile(path: pending.path).tensor("controls")
      try SafetensorsFile.write(
        [SafetensorsTensor("controls", controls)], to: controlsFile(round + 1, isPending: false).path)
    }
    try Directory.remove(pending.path)
  }

  private func controlsFile(_ rounds: Int, isPending: Bool) -> URL {
    run.state.appending(path: "controls-\(rounds)\(isPending ? ".pending" : "").safetensors")
  }
}

/// `history.jsonl` of a site: one line for each sum that the aggregator has finished, in order.
package struct SiteHistory {
  private let log: LineLog
  package private(set) var records: [SumRecord] = []

  /// Opens or creates the file; a torn last line, left by a kill, is dropped.
  ///
  /// - Throws: `OwnerError.run` for a line that is no record; `FileError`.
  package init(_ directory: SiteDirectory) throws {
    let path = directory.run.history.path
    log = try LineLog(path: path)
    records = try LineLog.lines(of: path).map { line in
      guard let record = SumRecord(line: line) else {
        throw OwnerError.run("\(path) holds a line that is not history")
      }
      return record
    }
  }

  mutating func append(_ record: SumRecord) throws {
    try log.append(record.line)
    try log.sync()
    records.append(record)
  }
}
