import Foundation
import Models
import Testing

@testable import JobSpec

/// `privacy` of a job.
@Suite struct PrivateJobTests {
  static let job = JobFixture.smallest + "\nprivacy: {clip_norm: 1.5, epsilon: 3, delta: 1.0e-5}"

  @Test func itResolvesAndIsWrittenWhole() throws {
    let fixture = try JobFixture()
    let job = try fixture.resolve(Self.job)
    #expect(job.privacy == PrivacyTarget(unit: .record, clipNorm: 1.5, epsilon: 3, delta: 1e-5))
    #expect(job.yaml().contains("privacy:\n  unit: record\n  clip_norm: 1.5\n  epsilon: 3.0\n  delta: 1e-05\n"))
    #expect(try fixture.resolve(job.yaml()) == job)
    #expect(try JSONDecoder().decode(ResolvedJob.self, from: JSONEncoder().encode(job)) == job)
    // An audit is of the job with its privacy.
    #expect(job.auditedYAML.contains("privacy:"))
    #expect(try fixture.resolve(JobFixture.smallest).privacy == nil)
    #expect(try !fixture.resolve(JobFixture.smallest).yaml().contains("privacy"))
  }

  @Test(arguments: [
    ("data.standardize=true", "means and deviations of the training rows"),
    ("loss.where=trainer", "batches that you draw in secret"),
    ("train.keep=best", "the metrics that choose have no noise"),
    ("optimizer.clip_norm=1", "is clipped already; delete it"),
  ])
  func whatNoiseDoesNotCoverIsRefused(_ override: String, _ words: String) {
    let error = JobFixture.refusal(Self.job, [override])
    guard case .contradiction(let sentence)? = error?.reason else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(sentence.contains("`privacy` with `") && sentence.contains(words), "\(sentence)")
    #expect(error?.location?.source.contains(override.split(separator: "=")[0]) == true)
  }

  @Test func aSurvivalIsRefused() {
    let error = JobFixture.refusal(
      SurvivalJobTests.job + "\nprivacy: {clip_norm: 1, epsilon: 3, delta: 1.0e-5}")
    #expect(error?.description.contains("compares the rows of a batch") == true, "\(String(describing: error))")
  }

  @Test(arguments: ["clip_norm", "epsilon", "delta"]) func eachNumberIsNeeded(_ name: String) {
    let all = ["clip_norm": "1", "epsilon": "3", "delta": "1.0e-5"].filter { $0.key != name }
    let section = all.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    guard
      case .missingKey("privacy.\(name)", _)? = JobFixture.refusal(
        JobFixture.smallest + "\nprivacy: {\(section)}")?.reason
    else {
      Issue.record("accepted")
      return
    }
  }

  @Test func anEmptySectionIsRefused() {
    guard case .emptySection("privacy", _)? = JobFixture.refusal(JobFixture.smallest + "\nprivacy: {}")?.reason else {
      Issue.record("accepted")
      return
    }
  }

  /// `site` is a charter's: a job has one party whose records are hidden.
  @Test(arguments: ["unit=site", "clip_norm=0", "epsilon=0", "epsilon=1001", "delta=0", "delta=1"])
  func aValueOutOfRangeIsRefused(_ setting: String) {
    guard case .outOfRange? = JobFixture.refusal(Self.job, ["privacy.\(setting)"])?.reason else {
      Issue.record("accepted")
      return
    }
  }

  @Test func aCharterSaysTheSameOfTheSameNumbers() {
    #expect(JobFields.delta.description.range == CharterFields.delta.description.range)
    #expect(JobFields.delta.description.meaning == CharterFields.delta.description.meaning)
    #expect(JobFields.epsilon.description.range == CharterFields.epsilon.description.range)
    #expect(JobFields.privacyClip.description.range == CharterFields.privacyClip.description.range)
  }
}
