import Foundation
import Models
import Testing

@testable import JobSpec

/// `train.precision` of jobs and charters.
@Suite struct PrecisionTests {
  @Test(arguments: TrainingPrecision.allCases) func eachResolvesAndIsWritten(_ precision: TrainingPrecision) throws {
    let fixture = try JobFixture()
    let job = try fixture.resolve(JobFixture.smallest, ["train.precision=\(precision.rawValue)"])
    #expect(job.train.precision == precision)
    #expect(job.yaml().contains("  precision: \(precision.rawValue)\n"))
    #expect(try fixture.resolve(job.yaml()) == job)
  }

  /// Digests of what was audited, and of what noise is for, are kept: a job that says nothing of it has those of before.
  @Test func withoutItAJobIsInFloatsAndItsDigestIsThatOfBefore() throws {
    let fixture = try JobFixture()
    let job = try fixture.resolve(JobFixture.smallest)
    #expect(job.train.precision == .float32)
    #expect(job.yaml().contains("  precision: float32\n") && !job.auditedYAML.contains("  precision:"))
    let narrow = try fixture.resolve(JobFixture.smallest, ["train.precision=bfloat16"])
    #expect(narrow.auditedYAML.contains("  precision: bfloat16\n"))
  }

  @Test(arguments: ["float64", "fp16", "Float32", "16"]) func anotherValueIsRefusedWithTheListOfThem(_ value: String) {
    let error = JobFixture.refusal(JobFixture.smallest, ["train.precision=\(value)"])
    #expect(
      error?.description.contains("one of float32, bfloat16x3, bfloat16") == true
        && error?.location?.source.contains("train.precision") == true, "\(String(describing: error))")
  }

  @Test func recordsAreNotClippedByRoundedNorms() throws {
    let error = JobFixture.refusal(PrivateJobTests.job, ["train.precision=bfloat16"])
    #expect(
      error?.description.contains("`privacy` with `train.precision: bfloat16`") == true
        && error?.description.contains("use float32 or bfloat16x3") == true, "\(String(describing: error))")
    let fixture = try JobFixture()
    #expect(try fixture.resolve(PrivateJobTests.job, ["train.precision=bfloat16x3"]).privacy != nil)
  }

  @Test func aCharterHasItForItsSites() throws {
    let fixture = try CharterFixture()
    let charter = try fixture.load(CharterFixture.smallest, ["train.precision=bfloat16"]).charter
    #expect(charter.train.precision == .bfloat16)
    #expect(charter.yaml().contains("  precision: bfloat16\n"))
    #expect(try fixture.load(CharterFixture.smallest).charter.train.precision == .float32)
    #expect(try fixture.load(charter.yaml()).charter == charter)
  }

  @Test func aCharterThatClipsRecordsHasItNot() throws {
    let fixture = try CharterFixture()
    let text = CharterFixture.charter(
      CharterFixture.smallest, with: "data: {columns: [age, sex], classes: [healthy, ill], standardize: none}")
    let overrides = [
      "federation.local={updates: 3}",
      "federation.privacy={unit: record, clip_norm: 1.0, epsilon: 3.0, delta: 1.0e-5}",
      "federation.strategy={name: fedavg, weighting: equal}",
    ]
    #expect(try fixture.load(text, overrides).charter.federation.privacy?.unit == .record)
    let error = #expect(throws: JobSpecError.self) {
      _ = try fixture.load(text, overrides + ["train.precision=bfloat16"])
    }
    let words = "`federation.privacy` (`unit: record`) with `train.precision: bfloat16`"
    #expect(error?.description.contains(words) == true, "\(String(describing: error))")
  }
}
