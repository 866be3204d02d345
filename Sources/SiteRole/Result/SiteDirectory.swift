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

  /// Of the jobs that a provider may have.
  var provider: URL { run.state.appending(path: "provider") }

  /// Keys and shares of the secure sums, secret.
  var sums: URL { run.state.appending(path: "sums.state") }

  /// Which federation the directory is of, and which site of it.
  struct Identity: Codable, Equatable {
    var version = 1
    /// SHA-256 of the charter, in hexadecimal.
    let charter: String
    let site: String
    /// The site's public key, z85.
    let key: String
  }

  private func known() throws -> Identity? {
    try run.checkPlace()
    return try RunFile.read(Identity.self, from: identityFile) { $0.version == 1 }
  }

  /// Makes the directory of a run that is to begin, or finds one that nothing has come of, such as of a join that was refused.
  ///
  /// - Throws: `SiteError.otherRun` for a directory with a run that has come to something; `OwnerError.run`, `FileError`.
  package func prepare() throws {
    guard try known() != nil else { return try run.create() }
    try RunLease.checkFree(run)
    try checkUnused()
  }

  /// That there is a run to go on with, before anything waits for it.
  ///
  /// - Throws: `SiteError.otherRun`, `OwnerError.run`, `FileError`.
  package func checkIsRun() throws {
    if try known() == nil { throw holdsNoRun }
  }

  private var holdsNoRun: SiteError {
    .otherRun("\(run.root.path) holds no site's run to go on with; leave --resume out to begin one")
  }

  private func checkUnused() throws {
    guard try isUnused else {
      throw SiteError.otherRun(
        "\(run.root.path) already holds a site's run; go on with it by --resume, or choose another --out")
    }
  }

  /// Begins or resumes a run in a directory that is there, and no other process's.
  ///
  /// - Throws: `SiteError.otherRun`, `OwnerError.run`, `FileError`.
  package func begin(_ plan: FederationPlan, site: Int, resuming: Bool) throws {
    let identity = Identity(
      charter: plan.digest.hexadecimal, site: plan.charter.sites[site].name, key: plan.siteKeys[site].z85)
    let known = try known()
    guard resuming else {
      if known != nil {
        try checkUnused()
        try clear()
      }
      return try RunFile.write(identity, to: identityFile)
    }
    guard let known else {
      throw holdsNoRun
    }
    guard known == identity else {
      let what =
        known.charter != identity.charter
        ? "under another charter" : known.site != identity.site ? "for the site \(known.site)" : "with another key"
      throw SiteError.otherRun("the run in \(run.root.path) was begun \(what); choose another --out")
    }
  }

  /// The same for one who has the directory for itself anyway.
  package func open(_ plan: FederationPlan, site: Int, resuming: Bool) throws {
    if !resuming { try prepare() }
    try begin(plan, site: site, resuming: resuming)
  }

  /// Whether noise and batches of this run come again under the charter: what they are drawn for is in its bytes.
  ///
  /// - Throws: `SiteError.otherRun`; `OwnerError.run` for a directory of another version.
  package func checkRepeatable(under plan: FederationPlan) throws {
    guard let known = try RunFile.read(Identity.self, from: identityFile, isKnown: { $0.version == 1 }) else {
      throw SiteError.otherRun("\(run.root.path) holds no site's run whose secret could be used again")
    }
    guard known.charter == plan.digest.hexadecimal else {
      throw SiteError.otherRun(
        "the run in \(run.root.path) was made under another charter, whose noise and batches would not come again: give that charter (unit, "
          + "clip norm and all else the same to the byte), or leave --secrets-of out")
    }
  }

  /// The jobs that a provider may have of this site, and their key.
  ///
  /// - Throws: as `RoundJobs`.
  package func providerJobs(_ plan: FederationPlan, masking: MaskingDescription) throws -> RoundJobs {
    try RoundJobs(provider, for: plan.job, masking: masking)
  }
}
