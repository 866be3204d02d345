import Foundations
import Models
import JobSpec
import Masking
import Testing
import TestSupport
import Training

@testable import LeakAudit
import OwnerRole

/// The memory of an audit, worked out by hand from the sizes of small jobs.
@Suite struct AuditMemoryTests {
  private func engine(_ prepared: PreparedJob, partRows: Int) throws -> Double {
    Double(
      try #require(
        TrainingEngine<Float>.memoryEstimate(
          Model(prepared.shape.graph), optimizer: prepared.job.optimizer, batchRows: 8, partRows: partRows)))
  }

  private func weights(_ prepared: PreparedJob) -> Double {
    Double(prepared.shape.structure.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) })
  }

  /// 44 rows, 8 wide with the constant and one of padding; 3 outputs behind a rotation.
  @Test func aJobOfFeatures() throws {
    let directory = try TemporaryDirectory()
    let prepared = try PreparedJob(
      job: SmallJob().resolved(on: try SmallData(in: directory, rows: 44)), secret: OrderSecret(ephemeralWithSeed: 1))
    // 40 · 8², 40 · 44 · 8, and (4 · 4 + 11 · 8) · 44 · 3.
    let rest = 2560.0 + 14_080 + 13_728
    let models = try 16 * weights(prepared) + engine(prepared, partRows: 3)
    #expect(AuditMemory(prepared, rows: 4096).estimate == rest + models)
    // Of 10 rows: 40 · 10 · 8 and 104 · 10 · 3.
    #expect(AuditMemory(prepared, rows: 10).estimate == 2560 + 3200 + 3120 + models)
  }

  /// 30 samples of up to 10 tokens: with 100 rows of a view each token has outputs of its own, where a label is a sample's at most 30 do.
  @Test(arguments: [LearningTask.tokenClassification, .classification])
  func aJobOfTokens(_ task: LearningTask) throws {
    let directory = try TemporaryDirectory()
    let job = try TokenJob().changing {
      $0.task = task
      $0.classes = 3
    }.resolved(on: TokenData(in: directory))
    let prepared = try PreparedJob(job: job, secret: OrderSecret(ephemeralWithSeed: 1))
    let longest = try #require(prepared.shape.data.maximumTokens)
    #expect((longest, prepared.shape.data.outputs, prepared.plan.totalRows) == (10, 3, 30))
    let width = Double(prepared.shape.inputWidth)
    #expect(prepared.shape.keyPlan.output.group == .orthogonal)
    let targets = task == .tokenClassification ? 100.0 : 30
    let expected = 40 * width * width + 40 * 100 * width + 104 * 3 * targets
    #expect(
      try AuditMemory(prepared, rows: 100).estimate
        == expected + 20 * weights(prepared) + engine(prepared, partRows: 3))
    // A sample that is longer than the limit is looked at all the same.
    let one = 40 * width * width + 40 * 10 * width + 104 * 3 * 10
    #expect(
      try AuditMemory(prepared, rows: 4).estimate == one + 20 * weights(prepared) + engine(prepared, partRows: 3))
  }

  // MARK: - Of deployments

  /// 8 columns, 100 weights, 44 rows; 20 entries of a vocabulary in 512 steps.
  @Test func aDeployment() {
    func estimate(_ vocabulary: Int) -> Double {
      AuditMemory(DeploymentSizes(width: 8, weights: 100, rows: 44, vocabulary: vocabulary)).estimate
    }
    // 56 · 8², 48 · 44 · 8, and (24 + 48) · 100.
    #expect(estimate(0) == 3584 + 16_896 + 7200)
    #expect(estimate(20) == estimate(0) + 24 * 512 * 20)
  }

  /// Keys of 12,000 columns are 8 GB whatever the weights are; a model of 2.9 GB, and one of 768 MB in five copies, are over the limit of 4 GB too.
  @Test(arguments: [
    DeploymentSizes(width: 12_000, weights: 2.4e6, rows: 4096, vocabulary: 0),
    DeploymentSizes(width: 2048, weights: 7.25e8, rows: 26_000, vocabulary: 0),
    DeploymentSizes(width: 1024, weights: 2.0e8, rows: 26_000, vocabulary: 32_000),
  ]) func aDeploymentThatIsTooLarge(_ sizes: DeploymentSizes) {
    let error = #expect(throws: OwnerError.self) { try AuditMemory(sizes).check() }
    #expect(error?.kind == .exhausted && error?.description.contains("this deployment") == true)
  }

  /// A MiniLM of 22 million weights; a perceptron on 2,048 columns.
  @Test(arguments: [
    DeploymentSizes(width: 384, weights: 2.3e7, rows: 26_000, vocabulary: 0),
    DeploymentSizes(width: 2050, weights: 1.2e6, rows: 8192, vocabulary: 0),
  ]) func aDeploymentThatIsNot(_ sizes: DeploymentSizes) throws {
    try AuditMemory(sizes).check()
  }
}
