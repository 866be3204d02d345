import JobSpec
import Models
import OwnerRole
import Protocol
import Numerics
import TestSupport
import Testing

/// What `encryptor verify` measures of jobs in other numbers than floats.
@Suite(.timeLimit(.minutes(10))) struct PrecisionVerificationTests {
  private let directory: TemporaryDirectory
  private let data: SmallData

  init() throws {
    directory = try TemporaryDirectory()
    data = try SmallData(in: directory)
  }

  private func prepared(_ job: SmallJob) throws -> PreparedJob {
    try PreparedJob(job: job.resolved(on: data), secret: OrderSecret(ephemeralWithSeed: 1))
  }

  private static let good: [SmallJob] = [
    SmallJob(), SmallJob().changing { ($0.optimizer, $0.hidden) = (SmallJob.muon(), [7]) },
    SmallJob().changing { ($0.optimizer, $0.strength) = (SmallJob.adamw(), .permutation) },
    SmallJob().changing { ($0.task, $0.hidden, $0.noise) = (.regression, [], 0.1) },
    SmallJob().changing { ($0.task, $0.standardize) = (.multilabel, true) },
  ]

  /// Both runs train: they end nearer to the float64 run than it began, where a wrong key rule would lead elsewhere; and they are in these numbers.
  @Test(arguments: good, [TrainingPrecision.bfloat16, .bfloat16x3])
  func runsTrainInTheirNumbers(_ job: SmallJob, _ precision: TrainingPrecision) throws {
    let found = try PrecisionVerification(
      prepared: prepared(job.changing { $0.precision = precision }), compute: Compute(threads: 1)
    ).distances(steps: 50) { _, _ in }
    #expect(found.trained > 0.01 && found.masked < found.trained / 2 && found.plain < found.trained / 2, "\(found)")
    if precision == .bfloat16 { #expect(found.plain > 1e-6 && found.masked > 1e-5, "\(found)") }
  }
}
