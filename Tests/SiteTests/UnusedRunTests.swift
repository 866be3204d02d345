import Federation
import Foundation
import Masking
import Models
import OwnerRole
import TestSupport
import Testing

@testable import SiteRole

/// Run directories that nothing has come of, such as of a join that was refused: who may take them over, and what is made anew.
@Suite struct UnusedRunTests {
  @Test func `A directory whose join was refused is taken over by the next one, under another charter too`() throws {
    let federation = try SmallFederation()
    _ = try federation.work(0)
    let place = federation.runDirectory(0)
    let other = try SmallFederation()
    try place.open(other.plan, site: 1, resuming: false)
    try place.open(other.plan, site: 1, resuming: true)
    #expect(throws: SiteError.self) { try place.open(federation.plan, site: 0, resuming: true) }
    #expect(!FileManager.default.fileExists(atPath: place.run.plan.path))
    // From the first sum on it is a run.
    try place.store(sums: UnsafeRawBufferPointer(start: nil, count: 0))
    #expect(throws: SiteError.self) { try place.prepare() }
  }

  @Test func `A private run is taken over with its secret, but not once something was counted`() throws {
    let federation = try PrivacyFixture.federation(unit: "site")
    let work = try federation.work(0)
    let place = federation.runDirectory(0)
    let secret = try Data(contentsOf: place.privacySecret)
    _ = work
    let again = try federation.work(0)
    #expect(try Data(contentsOf: place.privacySecret) != secret)
    _ = try again.entries(for: .update(round: 0), model: again.start()) { _, _ in }
    #expect(throws: SiteError.self) { try federation.work(0) }
  }

  @Test func `A directory that a kill left before anything was written is no obstacle`() throws {
    let federation = try SmallFederation()
    let place = federation.runDirectory(0)
    try place.prepare()
    try place.open(federation.plan, site: 0, resuming: false)
    let foreign = federation.runDirectory(1)
    try foreign.prepare()
    try Data().write(to: foreign.run.state.appending(path: "anything"))
    #expect(throws: OwnerError.self) { try foreign.prepare() }
  }

  // MARK: - A provider's jobs

  /// They are written down before the aggregator is greeted, where a private run reads its rows first.
  @Test func `A directory whose provider has no job is taken over, with another key for it`() throws {
    let federation = try SmallFederation()
    let place = federation.runDirectory(0)
    try place.open(federation.plan, site: 0, resuming: false)
    let masking = MaskingDescription(strength: .rotation, padding: 0, exact: true)
    let folder = place.run.state.appending(path: "provider")
    _ = try place.providerJobs(federation.plan, masking: masking)
    let key = try Data(contentsOf: folder.appending(path: "job.key"))
    try place.prepare()
    try place.open(federation.plan, site: 0, resuming: false)
    #expect(!FileManager.default.fileExists(atPath: folder.path))
    _ = try place.providerJobs(federation.plan, masking: masking)
    #expect(try Data(contentsOf: folder.appending(path: "job.key")) != key)
  }

  @Test(arguments: ["open", "leftovers"])
  func `A directory whose provider may have a job is not taken over`(kind: String) throws {
    let federation = try SmallFederation()
    let place = federation.runDirectory(0)
    try place.open(federation.plan, site: 0, resuming: false)
    _ = try place.providerJobs(
      federation.plan, masking: MaskingDescription(strength: .rotation, padding: 0, exact: true))
    let file = place.run.state.appending(path: "provider/jobs.json")
    var object = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    let job = String(repeating: "0a", count: 16)
    object[kind] = kind == "open" ? ["job": job, "subject": "round 0"] : [job]
    try JSONSerialization.data(withJSONObject: object).write(to: file)
    #expect(throws: SiteError.self) { try place.prepare() }
    #expect(throws: SiteError.self) { try place.open(federation.plan, site: 0, resuming: false) }
  }

  // MARK: - Starting weights

  private func starting(_ work: SiteWork, _ place: SiteDirectory) throws -> Data {
    try work.writePlan { _, _ in }
    return try Data(contentsOf: place.run.initialWeights)
  }

  /// A site that was refused for its group key goes on with the right one, and an outside replay starts from the file.
  @Test func `Starting weights of a wrong group key are drawn anew, until an update is in a sum`() throws {
    let federation = try SmallFederation()
    let right = try starting(try federation.work(0, run: "other"), federation.runDirectory(0, run: "other"))
    let place = federation.runDirectory(0)
    let wrong = try starting(try federation.work(0, group: GroupKey()), place)
    #expect(wrong != right)
    // Keys of the sums are set up before anybody is refused, and pooled sums may be done.
    try place.store(sums: UnsafeRawBufferPointer(start: nil, count: 0))
    var history = try SiteHistory(place)
    try history.append(
      SumRecord(purpose: .means, sum: 1, attempt: 1, cohort: ["site0"], survivors: ["site0"], seconds: 0))
    #expect(try starting(try federation.work(0, resuming: true), place) == right)
    var known = try SiteHistory(place)
    try known.append(
      SumRecord(
        purpose: .update(round: 0), sum: 2, attempt: 1, cohort: ["site0"], survivors: ["site0"], seconds: 0))
    #expect(try starting(try federation.work(0, group: GroupKey(), resuming: true), place) == right)
  }

  @Test func `Starting weights stay once an update was made`() throws {
    let federation = try SmallFederation()
    let place = federation.runDirectory(0)
    let first = try starting(try federation.work(0), place)
    try place.remember(model: "aa", round: 0)
    #expect(try starting(try federation.work(0, group: GroupKey(), resuming: true), place) == first)
  }
}
